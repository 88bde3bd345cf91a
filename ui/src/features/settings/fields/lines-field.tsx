import { useState } from "react";

import { Field, inputClass } from "@/components/field";
import { UnsetButton } from "@/features/settings/fields/unset-button";
import { useSetting } from "@/features/settings/use-setting";

interface LinesFieldProps {
  name: "stop" | "samplers" | "dry_sequence_breakers";
  label: string;
  hint: string;
  rows: number;
  /** How an entry is written in its line, and read from it. */
  shown?: (entry: string) => string;
  read?: (line: string) => string;
}

const same = (text: string) => text;

/** A list of texts, one per line. */
export function LinesField({ name, label, hint, rows, shown = same, read = same }: LinesFieldProps) {
  const { value, inherited, set } = useSetting(name);
  // An empty line is not stored, but must not vanish while typing.
  const [typed, setTyped] = useState<string | null>(null);
  const text = (entries: readonly string[] | null) => entries?.map(shown).join("\n") ?? "";
  return (
    <Field
      label={label}
      hint={hint}
      aside={
        <UnsetButton
          name={label}
          set={value !== null}
          onUnset={() => {
            setTyped(null);
            set(null);
          }}
        />
      }
    >
      {({ id, describedBy }) => (
        <textarea
          id={id}
          rows={rows}
          dir="auto"
          spellCheck={false}
          aria-describedby={describedBy}
          value={typed ?? text(value)}
          placeholder={text(inherited)}
          onChange={(event) => {
            setTyped(event.target.value);
            const lines = event.target.value.split("\n").filter((line) => line !== "");
            set(lines.length === 0 ? null : lines.map(read));
          }}
          onBlur={() => {
            setTyped(null);
          }}
          className={`${inputClass} resize-y font-mono`}
        />
      )}
    </Field>
  );
}
