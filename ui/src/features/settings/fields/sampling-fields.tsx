import { useTranslation } from "react-i18next";

import { SamplingField } from "@/features/settings/fields/sampling-field";
import { useSettingsTarget } from "@/features/settings/use-setting";

/** Of any reply; the API takes no more. */
const MOST_TOKENS = 2 ** 31 - 1;

/** The settings that are changed most. */
export function SamplingFields() {
  const { t } = useTranslation();
  const longest = useSettingsTarget().limits.max_response_tokens;
  return (
    <>
      <SamplingField name="temperature" min={0} max={2} step={0.05} slider />
      <SamplingField name="top_p" min={0} max={1} step={0.01} slider />
      <SamplingField name="top_k" min={0} max={1000} step={1} />
      <SamplingField name="repeat_penalty" min={0.1} max={2} step={0.05} slider />
      <SamplingField
        name="max_tokens"
        {...(longest === 0 ? {} : { hint: t("settings.range", { min: 1, max: longest }) })}
        min={1}
        max={longest === 0 ? MOST_TOKENS : longest}
        step={1}
      />
    </>
  );
}
