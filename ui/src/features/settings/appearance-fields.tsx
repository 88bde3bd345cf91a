import { createContext, use } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";

import { Field, inputClass } from "@/components/field";
import { SegmentedChoice } from "@/components/segmented-choice";
import { NotifyField } from "@/features/settings/notify-field";
import type { PreferencesStore } from "@/features/settings/preferences-store";
import { textSizes, textWidths, themes } from "@/lib/appearance";
import { isLanguage, languageNames } from "@/lib/i18n";

export const PreferencesContext = createContext<PreferencesStore | null>(null);

export function AppearanceFields() {
  const { t } = useTranslation();
  const store = use(PreferencesContext);
  if (!store) throw new Error("AppearanceFields needs a PreferencesContext around it.");
  const { theme, language, textSize, textWidth, ...set } = useStore(store);
  const { setTheme, setLanguage } = set;
  return (
    <>
      <SegmentedChoice
        label={t("settings.theme")}
        value={theme}
        options={themes.map((value) => ({ value, label: t(`settings.themes.${value}`) }))}
        onChange={setTheme}
      />
      <Field label={t("settings.language")}>
        {({ id }) => (
          <select
            id={id}
            value={language}
            onChange={(event) => {
              setLanguage(isLanguage(event.target.value) ? event.target.value : "system");
            }}
            className={inputClass}
          >
            <option value="system">{t("settings.languageSystem")}</option>
            {Object.entries(languageNames).map(([code, name]) => (
              <option key={code} value={code} lang={code}>
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <NotifyField />
      <SegmentedChoice
        label={t("settings.textSize")}
        value={textSize}
        options={textSizes.map((value) => ({ value, label: t(`settings.textSizes.${value}`) }))}
        onChange={set.setTextSize}
      />
      <SegmentedChoice
        label={t("settings.textWidth")}
        value={textWidth}
        options={textWidths.map((value) => ({ value, label: t(`settings.textWidths.${value}`) }))}
        onChange={set.setTextWidth}
      />
    </>
  );
}
