import { useId, useState, type SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import type { Settings } from "@/api/types";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { Field, inputClass } from "@/components/field";
import { usePresets } from "@/features/presets/presets-context";
import { textOf } from "@/lib/form-text";

interface NameDialogProps {
  settings: Settings;
  onClose: () => void;
}

/** Keeps settings as a preset, under a name. */
export function NameDialog({ settings, onClose }: NameDialogProps) {
  const { t } = useTranslation();
  const create = usePresets((state) => state.create);
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const form = useId();
  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = textOf(new FormData(event.currentTarget), "name").trim();
    if (name === "") return;
    setBusy(true);
    try {
      await create(name, settings);
      onClose();
    } catch (error) {
      setFailure((error as Error).message);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={t("presets.keep")}
      onClose={onClose}
      actions={
        <>
          <Button onClick={onClose}>{t("app.cancel")}</Button>
          <Button variant="accent" type="submit" form={form} disabled={busy}>
            {t("presets.save")}
          </Button>
        </>
      }
    >
      <form id={form} onSubmit={(event) => void submit(event)}>
        <p className="mb-3">{t("presets.keepText")}</p>
        <Field label={t("presets.name")} error={failure}>
          {({ id, describedBy }) => (
            <input
              id={id}
              name="name"
              autoFocus
              autoComplete="off"
              maxLength={80}
              aria-describedby={describedBy}
              aria-invalid={failure !== null}
              className={inputClass}
            />
          )}
        </Field>
      </form>
    </Dialog>
  );
}
