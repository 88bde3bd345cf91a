import { useId, type ReactNode } from "react";

interface FieldProps {
  label: string;
  hint?: string | undefined;
  error?: string | null;
  /** Beside the label. */
  aside?: ReactNode;
  /** Receives the ids that connect the control to its label and hint. */
  children: (ids: { id: string; describedBy: string | undefined }) => ReactNode;
}

/** A control with its label, hint and error. */
export function Field({ label, hint, error = null, aside, children }: FieldProps) {
  const id = useId();
  const noteId = `${id}-note`;
  const note = error ?? hint;
  return (
    <div>
      <div className="flex min-h-7 items-center justify-between gap-3">
        <label htmlFor={id} className="text-sm font-medium">
          {label}
        </label>
        {aside}
      </div>
      {children({ id, describedBy: note === undefined ? undefined : noteId })}
      {note !== undefined && (
        <p id={noteId} className={`mt-1 text-xs leading-4.5 ${error === null ? "text-faint" : "text-danger"}`}>
          {note}
        </p>
      )}
    </div>
  );
}

/** The classes of every text input. */
export const inputClass =
  "min-h-9 w-full rounded-control border border-line-strong bg-bg px-3 py-1.5 text-sm " +
  "placeholder:text-faint focus-visible:outline-offset-0 aria-invalid:border-danger pointer-coarse:min-h-11";
