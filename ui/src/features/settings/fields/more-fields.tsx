import { useState } from "react";
import { useTranslation } from "react-i18next";

import { Field } from "@/components/field";
import { ChevronDownIcon } from "@/components/icons";
import { InheritingSelect } from "@/features/settings/fields/inheriting-select";
import { LinesField } from "@/features/settings/fields/lines-field";
import { SamplingField, type SamplingFieldProps } from "@/features/settings/fields/sampling-field";
import { useSetting, useSettingsTarget } from "@/features/settings/use-setting";

const share = { min: 0, max: 1, step: 0.01, slider: true };
const penalty = { min: -2, max: 2, step: 0.05, slider: true };
const lastTokens = { min: -1, max: 1_000_000, step: 1 };

/** In the order in which llama.cpp applies them, more or less. */
const groups: readonly {
  name: "repetition" | "choice" | "xtc" | "dynatemp";
  fields: readonly SamplingFieldProps[];
}[] = [
  {
    name: "choice",
    fields: [
      { name: "min_p", ...share },
      { name: "typical_p", ...share },
      { name: "top_n_sigma", min: -1, max: 1000, step: 0.1 },
    ],
  },
  {
    name: "repetition",
    fields: [
      { name: "repeat_last_n", ...lastTokens },
      { name: "frequency_penalty", ...penalty },
      { name: "presence_penalty", ...penalty },
      { name: "dry_multiplier", min: 0, max: 100, step: 0.1 },
      { name: "dry_base", min: 1, max: 100, step: 0.05 },
      { name: "dry_allowed_length", min: 0, max: 1_000_000, step: 1 },
      { name: "dry_penalty_last_n", ...lastTokens },
    ],
  },
  {
    name: "xtc",
    fields: [
      { name: "xtc_probability", ...share },
      { name: "xtc_threshold", ...share },
    ],
  },
  {
    name: "dynatemp",
    fields: [
      { name: "dynatemp_range", min: 0, max: 2, step: 0.05, slider: true },
      { name: "dynatemp_exponent", min: 0, max: 100, step: 0.1 },
    ],
  },
];

const names = [
  ...groups.flatMap(({ fields }) => fields.map(({ name }) => name)),
  ...(["dry_sequence_breakers", "mirostat", "mirostat_tau", "mirostat_eta", "seed", "samplers"] as const),
];

/** Every other sampler, folded away unless one of them is set. */
export function MoreFields() {
  const { t } = useTranslation();
  const { own } = useSettingsTarget();
  const count = names.filter((name) => own[name] !== null).length;
  const [open, setOpen] = useState(count > 0);
  return (
    <details
      open={open}
      onToggle={(event) => {
        setOpen(event.currentTarget.open);
      }}
      className="group"
    >
      <summary className="flex min-h-9 cursor-pointer list-none items-center gap-1.5 rounded-control text-sm font-medium text-muted hover:text-text">
        <ChevronDownIcon className="size-4 -rotate-90 transition-transform group-open:rotate-0 rtl:rotate-90 rtl:group-open:rotate-0" />
        {t("settings.more")}
        {count > 0 && <span className="text-xs font-normal text-faint">{t("settings.moreSet", { count })}</span>}
      </summary>
      {open && (
        <div className="mt-3 flex flex-col gap-6">
          {groups.map(({ name, fields }) => (
            <Group key={name} title={t(`settings.groups.${name}`)}>
              {fields.map((field) => (
                <SamplingField key={field.name} {...field} />
              ))}
              {name === "repetition" && <BreakersField />}
            </Group>
          ))}
          <Group title={t("settings.groups.mirostat")}>
            <MirostatField />
            <SamplingField name="mirostat_tau" min={0} max={100} step={0.1} />
            <SamplingField name="mirostat_eta" {...share} />
          </Group>
          <Group title={t("settings.groups.order")}>
            <SamplingField name="seed" min={-1} max={2 ** 32 - 1} step={1} />
            <LinesField
              name="samplers"
              label={t("settings.samplers")}
              hint={t("settings.hints.samplers")}
              rows={4}
            />
          </Group>
        </div>
      )}
    </details>
  );
}

function Group({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <fieldset className="flex flex-col gap-4">
      <legend className="mb-3 text-xs font-medium text-faint">{title}</legend>
      {children}
    </fieldset>
  );
}

/** A line break is an entry as well, written as `\\n`. */
function BreakersField() {
  const { t } = useTranslation();
  return (
    <LinesField
      name="dry_sequence_breakers"
      label={t("settings.dry_sequence_breakers")}
      hint={t("settings.hints.dry_sequence_breakers")}
      rows={3}
      shown={(entry) => entry.replaceAll("\n", "\\n").replaceAll("\t", "\\t")}
      read={(line) => line.replaceAll("\\n", "\n").replaceAll("\\t", "\t")}
    />
  );
}

const versions = ["0", "1", "2"] as const;

function MirostatField() {
  const { t } = useTranslation();
  const { value, inherited, set } = useSetting("mirostat");
  const nameOf = (version: string) =>
    version === "0" ? t("settings.off") : t("settings.version", { number: version });
  return (
    <Field label={t("settings.mirostat")} hint={t("settings.hints.mirostat")}>
      {(field) => (
        <InheritingSelect
          {...field}
          value={value === null ? null : String(value)}
          inherited={`${t("settings.inherited")}: ${nameOf(String(inherited ?? 0))}`}
          options={versions}
          nameOf={nameOf}
          onSet={(version) => {
            set(version === null ? null : Number(version));
          }}
        />
      )}
    </Field>
  );
}
