import { useState, type SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import { ApiError } from "@/api/client";
import { Button } from "@/components/button";
import { Field, inputClass } from "@/components/field";
import { textOf } from "@/lib/form-text";

interface SignInProps {
  /** The key that this page had is not valid any more. */
  expired: boolean;
  onEnter: (key: string) => Promise<void>;
}

/** The sign-in form. */
export function SignIn({ expired, onEnter }: SignInProps) {
  const { t } = useTranslation();
  const [failure, setFailure] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  const submit = async (event: SubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const key = textOf(new FormData(event.currentTarget), "key");
    if (key === "") return;
    setBusy(true);
    setFailure(null);
    try {
      await onEnter(key);
    } catch (error) {
      const wrong = error instanceof ApiError && error.status === 401;
      setFailure(wrong ? t("access.wrong") : (error as Error).message);
      setBusy(false);
    }
  };
  return (
    <main className="flex h-full items-center justify-center overflow-y-auto p-6">
      <form onSubmit={(event) => void submit(event)} className="w-full max-w-88">
        <h1 className="text-[1.625rem] leading-tight font-semibold tracking-tight">
          {expired ? t("access.again") : t("access.title")}
        </h1>
        <p className="mt-2 mb-6 text-muted">{expired ? t("access.expired") : t("access.lead")}</p>
        <Field label={t("access.key")} error={failure}>
          {({ id, describedBy }) => (
            <input
              id={id}
              name="key"
              type="password"
              autoFocus
              autoComplete="current-password"
              aria-describedby={describedBy}
              aria-invalid={failure !== null}
              className={inputClass}
            />
          )}
        </Field>
        <Button variant="accent" type="submit" disabled={busy} className="mt-5 w-full">
          {t("access.signIn")}
        </Button>
      </form>
    </main>
  );
}
