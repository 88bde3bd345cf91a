import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import type { DeviceStatus } from "@/api/types";
import { Field } from "@/components/field";
import type { Choices } from "@/features/settings/choices";
import { InheritingSelect } from "@/features/settings/fields/inheriting-select";
import { useSetting } from "@/features/settings/use-setting";

interface DeviceFieldProps {
  choices: Choices;
}

/** The device to run the model on, among those that the server found. */
export function DeviceField({ choices }: DeviceFieldProps) {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting("device");
  const there = new Set(choices.models.flatMap(({ devices }) => devices));
  const named = (device: string) => nameOf(device, choices.devices, t);
  return (
    <Field label={t("settings.device")} hint={t("settings.deviceHint")}>
      {(field) => (
        <InheritingSelect
          {...field}
          // The server accepts names in any case, and reports them in lower case.
          value={value === null ? null : value.toLowerCase()}
          inherited={
            t("settings.inherited") + (inherited === null ? "" : `: ${named(inherited)}`)
          }
          options={["auto", ...there]}
          nameOf={named}
          onSet={set}
        />
      )}
    </Field>
  );
}

/** A backend is shown with the name of its GPU, if it has only one. */
function nameOf(device: string, devices: readonly DeviceStatus[], t: TFunction): string {
  if (device === "auto" || device === "cpu") return t(`settings.devices.${device}`);
  const called = devices.filter(
    ({ name, family }) => name.toLowerCase() === device || family === device,
  );
  const [only] = called;
  if (called.length !== 1 || only === undefined) return device.toUpperCase();
  const name = only.family === device ? device.toUpperCase() : only.name;
  return t("settings.devices.named", { name, description: only.description });
}
