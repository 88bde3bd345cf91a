import { createStore, type StoreApi } from "zustand/vanilla";

import { showTheme, themes, type Theme } from "@/lib/appearance";
import { browserLanguage, isLanguage, showLanguage, type Language } from "@/lib/i18n";
import { readStored, writeStored } from "@/lib/stored";

/** How the page looks on this screen. */
export interface PreferencesState {
  theme: Theme;
  language: Language | "system";

  setTheme: (theme: Theme) => void;
  setLanguage: (language: Language | "system") => void;
}

export type PreferencesStore = StoreApi<PreferencesState>;

function isTheme(text: string | null): text is Theme {
  return themes.some((theme) => theme === text);
}

/** Shows the page as this browser remembers it was wanted. */
export function createPreferencesStore(): PreferencesStore {
  const storedTheme = readStored("theme");
  const storedLanguage = readStored("language") ?? "";
  let stopFollowing: (() => void) | null = null;

  const paint = (theme: Theme) => {
    stopFollowing?.();
    stopFollowing = showTheme(theme);
  };
  const speak = (language: Language | "system") => {
    // Where its texts can't be fetched, the page goes on in the language it has.
    showLanguage(language === "system" ? browserLanguage() : language).catch(() => undefined);
  };
  return createStore<PreferencesState>()((set) => {
    const theme = isTheme(storedTheme) ? storedTheme : "system";
    const language = isLanguage(storedLanguage) ? storedLanguage : "system";
    paint(theme);
    speak(language);
    return {
      theme,
      language,
      setTheme(chosen) {
        set({ theme: chosen });
        writeStored("theme", chosen);
        paint(chosen);
      },
      setLanguage(chosen) {
        set({ language: chosen });
        writeStored("language", chosen);
        speak(chosen);
      },
    };
  });
}
