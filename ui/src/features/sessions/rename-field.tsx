import { useLayoutEffect, useRef } from "react";
import { useTranslation } from "react-i18next";

import { isComposing } from "@/lib/typing/keys";

interface RenameFieldProps {
  title: string;
  /** The new title, or null if it is unchanged. */
  onDone: (title: string | null) => void;
}

/** Enter and blur save; Esc cancels. */
export function RenameField({ title, onDone }: RenameFieldProps) {
  const { t } = useTranslation();
  const input = useRef<HTMLInputElement>(null);
  const done = useRef(false);

  useLayoutEffect(() => {
    input.current?.focus();
    input.current?.select();
  }, []);

  const finish = (text: string | null) => {
    // Enter removes the field, which also blurs it.
    if (done.current) return;
    done.current = true;
    const changed = text?.trim() ?? "";
    onDone(changed === "" || changed === title ? null : changed);
  };
  return (
    <input
      ref={input}
      aria-label={t("sessions.titleField")}
      defaultValue={title}
      maxLength={200}
      onBlur={(event) => {
        finish(event.target.value);
      }}
      onKeyDown={(event) => {
        if (isComposing(event.nativeEvent)) return;
        if (event.key === "Enter") finish(event.currentTarget.value);
        if (event.key !== "Escape") return;
        event.preventDefault();
        finish(null);
      }}
      className="min-h-9 w-full rounded-control bg-hover px-3 text-sm outline-2 -outline-offset-2 outline-accent pointer-coarse:min-h-11"
    />
  );
}
