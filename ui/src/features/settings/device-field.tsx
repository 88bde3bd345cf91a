import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import { Field, inputLook } from "@/components/field";
import type { Choices } from "@/features/settings/answer-fields";
import type { Scope } from "@/features/settings/settings-store";
import { useSetting } from "@/features/settings/use-setting";

interface DeviceFieldProps {
  scope: Scope;
  choices: Choices;
}

/** Where the model is to run: among what the server found on its machine. */
export function DeviceField({ scope, choices }: DeviceFieldProps) {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting(scope, "device");
  const there = new Set(choices.models.flatMap(({ devices }) => devices));
  const offered = ["auto", ...there];
  // One that was chosen and is gone is still what is set.
  if (value !== null && !offered.includes(value)) offered.push(value);
  return (
    <Field label={t("settings.device")} hint={t("settings.deviceHint")}>
      {({ id, describedBy }) => (
        <select
          id={id}
          aria-describedby={describedBy}
          value={value ?? ""}
          onChange={(event) => {
            set(event.target.value === "" ? null : event.target.value);
          }}
          className={inputLook}
        >
          <option value="">
            {t("settings.inherited")}
            {inherited !== null && `: ${nameOf(inherited, t)}`}
          </option>
          {offered.map((device) => (
            <option key={device} value={device}>
              {nameOf(device, t)}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function nameOf(device: string, t: TFunction): string {
  if (device === "auto" || device === "cpu") return t(`settings.devices.${device}`);
  return device.toUpperCase();
}
