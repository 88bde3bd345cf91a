import i18next from "i18next";
import { initReactI18next } from "react-i18next";

import en from "@/locales/en.json";

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
  }
}

/** The languages of the page, by their own names. All but English are loaded on demand. */
export const languageNames = { en: "English", de: "Deutsch" } as const;

export type Language = keyof typeof languageNames;

const loaders: Record<Exclude<Language, "en">, () => Promise<{ default: object }>> = {
  de: () => import("@/locales/de.json"),
};

void i18next.use(initReactI18next).init({
  lng: "en",
  fallbackLng: "en",
  resources: { en: { translation: en } },
  // React escapes by itself.
  interpolation: { escapeValue: false },
  initAsync: false,
});

export function isLanguage(text: string): text is Language {
  return Object.hasOwn(languageNames, text);
}

/** The first of the browser's languages that the page has. */
export function browserLanguage(preferred: readonly string[] = navigator.languages): Language {
  const plain = preferred.map((tag) => tag.toLowerCase().split("-")[0] ?? "");
  return plain.find(isLanguage) ?? "en";
}

/** Switches the language. Rejects, with the page unchanged, if its texts can't be loaded. */
export async function showLanguage(language: Language): Promise<void> {
  if (language !== "en" && !i18next.hasResourceBundle(language, "translation")) {
    i18next.addResourceBundle(language, "translation", (await loaders[language]()).default);
  }
  await i18next.changeLanguage(language);
  document.documentElement.lang = language;
  document.documentElement.dir = i18next.dir(language);
}
