import { useTranslation } from "react-i18next";

import { AnswerFields } from "@/features/settings/fields/answer-fields";
import type { Choices } from "@/features/settings/choices";
import { MoreFields } from "@/features/settings/fields/more-fields";
import { ResetButton } from "@/features/settings/reset-button";
import { SamplingFields } from "@/features/settings/fields/sampling-fields";
import { Section } from "@/features/settings/fields/section";
import { SettingsTargetContext, type SettingsTarget } from "@/features/settings/settings-target";

interface SettingsFieldsProps {
  target: SettingsTarget;
  choices: Choices;
}

/** All settings of a target. */
export function SettingsFields({ target, choices }: SettingsFieldsProps) {
  const { t } = useTranslation();
  return (
    <SettingsTargetContext value={target}>
      <Section title={t("settings.answer")}>
        <AnswerFields choices={choices} />
      </Section>
      <Section title={t("settings.writing")}>
        <SamplingFields />
        <MoreFields />
      </Section>
      <ResetButton />
    </SettingsTargetContext>
  );
}
