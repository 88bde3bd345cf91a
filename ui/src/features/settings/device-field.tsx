import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import { Field } from "@/components/field";
import type { Choices } from "@/features/settings/answer-fields";
import { InheritingSelect } from "@/features/settings/inheriting-select";
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
  return (
    <Field label={t("settings.device")} hint={t("settings.deviceHint")}>
      {(field) => (
        <InheritingSelect
          {...field}
          value={value}
          inherited={
            t("settings.inherited") + (inherited === null ? "" : `: ${nameOf(inherited, t)}`)
          }
          options={["auto", ...there]}
          nameOf={(device) => nameOf(device, t)}
          onSet={set}
        />
      )}
    </Field>
  );
}

function nameOf(device: string, t: TFunction): string {
  if (device === "auto" || device === "cpu") return t(`settings.devices.${device}`);
  return device.toUpperCase();
}
