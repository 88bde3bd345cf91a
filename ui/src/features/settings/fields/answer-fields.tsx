import { useTranslation } from "react-i18next";

import { Field, inputClass } from "@/components/field";
import type { Choices } from "@/features/settings/choices";
import { DeviceField } from "@/features/settings/fields/device-field";
import { InheritingSelect } from "@/features/settings/fields/inheriting-select";
import { LinesField } from "@/features/settings/fields/lines-field";
import { UnsetButton } from "@/features/settings/fields/unset-button";
import { useSetting } from "@/features/settings/use-setting";

interface AnswerFieldsProps {
  choices: Choices;
}

export function AnswerFields({ choices }: AnswerFieldsProps) {
  return (
    <>
      <ModelField choices={choices} />
      <DeviceField choices={choices} />
      <SystemPromptField />
      <ThinkingField />
      <StopField />
    </>
  );
}

function ModelField({ choices }: AnswerFieldsProps) {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting("model");
  const chosen = choices.models.find(({ id }) => id === (value ?? inherited));
  const device = chosen?.device ?? null;
  const where = device === null ? undefined : t("settings.deviceOn", { device });
  const nameOf = (id: string) => choices.models.find((model) => model.id === id)?.name ?? id;
  return (
    <Field
      label={t("settings.model")}
      hint={[where, chosen?.warning].filter(Boolean).join(". ") || undefined}
    >
      {(field) => (
        <InheritingSelect
          {...field}
          value={value}
          inherited={
            inherited === null
              ? t("settings.modelDefault")
              : `${t("settings.inherited")}: ${nameOf(inherited)}`
          }
          options={choices.models.map(({ id }) => id)}
          nameOf={nameOf}
          onSet={set}
        />
      )}
    </Field>
  );
}

function SystemPromptField() {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting("system_prompt");
  const name = t("settings.system_prompt");
  return (
    <Field
      label={name}
      hint={t("settings.systemHint")}
      aside={
        <UnsetButton
          name={name}
          set={value !== null}
          onUnset={() => {
            set(null);
          }}
        />
      }
    >
      {({ id, describedBy }) => (
        <textarea
          id={id}
          rows={4}
          dir="auto"
          aria-describedby={describedBy}
          value={value ?? ""}
          placeholder={inherited ?? ""}
          onChange={(event) => {
            set(event.target.value === "" ? null : event.target.value);
          }}
          className={`${inputClass} resize-y`}
        />
      )}
    </Field>
  );
}

/** The efforts that most models know; another one that is set stays. */
const efforts = ["none", "low", "medium", "high"] as const;

function ThinkingField() {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting("reasoning_effort");
  const nameOf = (effort: string) => {
    const known = efforts.find((one) => one === effort);
    return known ? t(`settings.efforts.${known}`) : effort;
  };
  return (
    <Field label={t("settings.reasoning_effort")} hint={t("settings.effortHint")}>
      {(field) => (
        <InheritingSelect
          {...field}
          value={value}
          inherited={
            inherited === null
              ? t("settings.effortByModel")
              : `${t("settings.inherited")}: ${nameOf(inherited)}`
          }
          options={efforts}
          nameOf={nameOf}
          onSet={set}
        />
      )}
    </Field>
  );
}

function StopField() {
  const { t } = useTranslation();
  return (
    <LinesField name="stop" label={t("settings.stop")} hint={t("settings.stopHint")} rows={2} />
  );
}
