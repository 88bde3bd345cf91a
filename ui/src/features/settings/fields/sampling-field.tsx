import { useTranslation } from "react-i18next";

import { NumberField } from "@/components/number-field";
import { UnsetButton } from "@/features/settings/fields/unset-button";
import { useSetting } from "@/features/settings/use-setting";

/** Settings that are numbers. */
export type NumberName =
  | "temperature"
  | "top_p"
  | "top_k"
  | "max_tokens"
  | "repeat_penalty"
  | "min_p"
  | "typical_p"
  | "top_n_sigma"
  | "xtc_probability"
  | "xtc_threshold"
  | "dynatemp_range"
  | "dynatemp_exponent"
  | "repeat_last_n"
  | "frequency_penalty"
  | "presence_penalty"
  | "dry_multiplier"
  | "dry_base"
  | "dry_allowed_length"
  | "dry_penalty_last_n"
  | "mirostat_tau"
  | "mirostat_eta"
  | "seed";

export interface SamplingFieldProps {
  name: NumberName;
  /** Instead of the setting's own explanation. */
  hint?: string;
  min: number;
  max: number;
  step: number;
  slider?: boolean;
}

export function SamplingField({ name, hint, ...bounds }: SamplingFieldProps) {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting(name);
  const label = t(`settings.${name}`);
  return (
    <NumberField
      label={label}
      hint={hint ?? t(`settings.hints.${name}`)}
      {...bounds}
      value={value}
      inherited={inherited}
      onChange={set}
      aside={
        <UnsetButton
          name={label}
          set={value !== null}
          onUnset={() => {
            set(null);
          }}
        />
      }
    />
  );
}
