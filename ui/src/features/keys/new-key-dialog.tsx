import { useState, type SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import { createKey } from "@/api/admin";
import type { Scope } from "@/api/types";
import { Button } from "@/components/button";
import { CopyButton } from "@/components/copy-button";
import { Dialog } from "@/components/dialog";
import { Field, inputClass } from "@/components/field";
import { textOf } from "@/lib/form-text";

interface NewKeyDialogProps {
  onMade: () => void;
  onClose: () => void;
}

const scopes: readonly Scope[] = ["chat", "manage", "admin"];
const formId = "new-key";

/** Asks for the properties of a key, then shows the key once. */
export function NewKeyDialog({ onMade, onClose }: NewKeyDialogProps) {
  const { t } = useTranslation();
  const [secret, setSecret] = useState<string | null>(null);
  const [failure, setFailure] = useState<string | null>(null);

  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string) => textOf(form, name);
    const day = text("expires");
    setFailure(null);
    try {
      const made = await createKey({
        name: text("name"),
        scope: text("scope") as Scope,
        rpm: text("rpm") === "" ? null : Number(text("rpm")),
        // Until the end of that day, in local time.
        expires_at: day === "" ? null : new Date(`${day}T23:59:59`).getTime(),
      });
      setSecret(made.key);
      onMade();
    } catch (error) {
      setFailure((error as Error).message);
    }
  };

  if (secret !== null) return <CreatedKey secret={secret} onClose={onClose} />;
  return (
    <Dialog
      title={t("keys.create")}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{t("app.cancel")}</Button>
          <Button variant="accent" type="submit" form={formId}>
            {t("keys.create")}
          </Button>
        </>
      }
    >
      <form id={formId} onSubmit={(event) => void submit(event)} className="flex flex-col gap-4 text-text">
        <Field label={t("keys.name")} hint={t("keys.nameHint")}>
          {({ id, describedBy }) => (
            <input
              id={id}
              name="name"
              required
              maxLength={64}
              autoFocus
              autoComplete="off"
              aria-describedby={describedBy}
              className={inputClass}
            />
          )}
        </Field>
        <Field label={t("keys.scope")}>
          {({ id }) => (
            <select id={id} name="scope" className={inputClass}>
              {scopes.map((scope) => (
                <option key={scope} value={scope}>
                  {t(`keys.scopes.${scope}`)}
                </option>
              ))}
            </select>
          )}
        </Field>
        <div className="grid grid-cols-2 gap-4">
          <Field label={t("keys.rpm")} hint={t("keys.rpmHint")}>
            {({ id, describedBy }) => (
              <input
                id={id}
                name="rpm"
                type="number"
                min={1}
                max={100000}
                aria-describedby={describedBy}
                className={inputClass}
              />
            )}
          </Field>
          <Field label={t("keys.expires")} hint={t("keys.never")}>
            {({ id, describedBy }) => (
              <input
                id={id}
                name="expires"
                type="date"
                aria-describedby={describedBy}
                className={inputClass}
              />
            )}
          </Field>
        </div>
        {failure !== null && (
          <p role="alert" className="text-danger">
            {t("keys.failed")} {failure}
          </p>
        )}
      </form>
    </Dialog>
  );
}

function CreatedKey({ secret, onClose }: { secret: string; onClose: () => void }) {
  const { t } = useTranslation();
  return (
    <Dialog
      title={t("keys.created")}
      onClose={onClose}
      actions={
        <Button variant="accent" onClick={onClose}>
          {t("keys.done")}
        </Button>
      }
    >
      <p>{t("keys.once")}</p>
      <div className="mt-3 flex items-center gap-2 rounded-control border border-line-strong bg-bg ps-3 text-text">
        <code className="min-w-0 flex-1 py-2 font-mono text-[0.8125rem] break-all">{secret}</code>
        <CopyButton label={t("copy.key")} text={() => secret} />
      </div>
    </Dialog>
  );
}
