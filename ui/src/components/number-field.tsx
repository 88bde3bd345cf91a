import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { Field, inputClass } from "@/components/field";

interface NumberFieldProps {
  label: string;
  hint: string;
  /** null: not set. */
  value: number | null;
  /** The value that applies while none is set. */
  inherited: number | null;
  min: number;
  max: number;
  step: number;
  /** Also shows a slider, for values that are found by trying. */
  slider?: boolean;
  aside?: ReactNode;
  onChange: (value: number | null) => void;
}

/** A number within bounds; empty means not set. */
export function NumberField(props: NumberFieldProps) {
  const { label, hint, value, inherited, min, max, step, slider = false, aside, onChange } = props;
  const { t } = useTranslation();
  // Input that is not a number within bounds stays in the field, and is not reported.
  const [refused, setRefused] = useState<string | null>(null);

  const typed = (text: string) => {
    if (text.trim() === "") {
      setRefused(null);
      onChange(null);
      return;
    }
    const number = Number(text);
    const whole = step >= 1;
    const fits = number >= min && number <= max && (!whole || Number.isInteger(number));
    setRefused(fits ? null : text);
    if (fits) onChange(number);
  };
  return (
    <Field
      label={label}
      hint={hint}
      error={refused === null ? null : t("settings.range", { min, max })}
      aside={aside}
    >
      {({ id, describedBy }) => (
        <div className="flex items-center gap-3">
          {slider && (
            <input
              type="range"
              aria-label={label}
              min={min}
              max={max}
              step={step}
              value={value ?? inherited ?? min}
              onChange={(event) => {
                setRefused(null);
                onChange(event.target.valueAsNumber);
              }}
              className="min-w-0 flex-1 accent-accent"
            />
          )}
          <input
            id={id}
            type="text"
            inputMode="decimal"
            autoComplete="off"
            aria-describedby={describedBy}
            aria-invalid={refused !== null}
            value={refused ?? value ?? ""}
            placeholder={inherited === null ? "" : String(inherited)}
            onChange={(event) => {
              typed(event.target.value);
            }}
            className={`${inputClass} tabular-nums ${slider ? "max-w-20" : ""}`}
          />
        </div>
      )}
    </Field>
  );
}
