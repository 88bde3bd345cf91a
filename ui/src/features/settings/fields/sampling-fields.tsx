import { useTranslation } from "react-i18next";

import { NumberField } from "@/components/number-field";
import { useSettings } from "@/features/settings/settings-context";
import type { SettingsScope } from "@/features/settings/settings-store";
import { UnsetButton } from "@/features/settings/unset-button";
import { useSetting } from "@/features/settings/use-setting";

type NumberName = "temperature" | "top_p" | "top_k" | "max_tokens" | "repeat_penalty";

/** Of any reply; the API takes no more. */
const MOST_TOKENS = 2 ** 31 - 1;

interface Bounds {
  min: number;
  max: number;
  step: number;
  slider?: boolean;
}

export function SamplingFields({ scope }: { scope: SettingsScope }) {
  const { t } = useTranslation();
  const longest = useSettings((state) => state.profile?.limits.max_response_tokens);
  const field = (name: NumberName, hint: string, bounds: Bounds) => (
    <SamplingField scope={scope} name={name} hint={hint} bounds={bounds} />
  );
  return (
    <>
      {field("temperature", t("settings.temperatureHint"), { min: 0, max: 2, step: 0.05, slider: true })}
      {field("top_p", t("settings.top_pHint"), { min: 0, max: 1, step: 0.01, slider: true })}
      {field("top_k", t("settings.top_kHint"), { min: 0, max: 1000, step: 1 })}
      {field("repeat_penalty", t("settings.repeatHint"), { min: 0.1, max: 2, step: 0.05, slider: true })}
      {longest !== undefined &&
        field(
          "max_tokens",
          longest === 0 ? t("settings.anyLengthHint") : t("settings.range", { min: 1, max: longest }),
          { min: 1, max: longest === 0 ? MOST_TOKENS : longest, step: 1 },
        )}
    </>
  );
}

interface SamplingFieldProps {
  scope: SettingsScope;
  name: NumberName;
  hint: string;
  bounds: Bounds;
}

function SamplingField({ scope, name, hint, bounds }: SamplingFieldProps) {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting(scope, name);
  const label = t(`settings.${name}`);
  return (
    <NumberField
      label={label}
      hint={hint}
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
