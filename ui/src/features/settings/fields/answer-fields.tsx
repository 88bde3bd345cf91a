import { useState } from "react";
import { useTranslation } from "react-i18next";

import { Field, inputClass } from "@/components/field";
import type { Choices } from "@/features/settings/choices";
import { DeviceField } from "@/features/settings/device-field";
import { InheritingSelect } from "@/features/settings/inheriting-select";
import type { SettingsScope } from "@/features/settings/settings-store";
import { UnsetButton } from "@/features/settings/unset-button";
import { useSetting } from "@/features/settings/use-setting";

interface AnswerFieldsProps {
  scope: SettingsScope;
  choices: Choices;
}

export function AnswerFields({ scope, choices }: AnswerFieldsProps) {
  return (
    <>
      <ModelField scope={scope} choices={choices} />
      <DeviceField scope={scope} choices={choices} />
      <SystemPromptField scope={scope} />
      <StopField scope={scope} />
    </>
  );
}

function ModelField({ scope, choices }: AnswerFieldsProps) {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting(scope, "model");
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

function SystemPromptField({ scope }: { scope: SettingsScope }) {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting(scope, "system_prompt");
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

function StopField({ scope }: { scope: SettingsScope }) {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting(scope, "stop");
  // An empty line is not stored, but must not vanish while typing.
  const [typed, setTyped] = useState<string | null>(null);
  const name = t("settings.stop");
  return (
    <Field
      label={name}
      hint={t("settings.stopHint")}
      aside={
        <UnsetButton
          name={name}
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
          rows={2}
          dir="auto"
          spellCheck={false}
          aria-describedby={describedBy}
          value={typed ?? value?.join("\n") ?? ""}
          placeholder={inherited?.join("\n") ?? ""}
          onChange={(event) => {
            setTyped(event.target.value);
            const lines = event.target.value.split("\n").filter((line) => line !== "");
            set(lines.length === 0 ? null : lines);
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
