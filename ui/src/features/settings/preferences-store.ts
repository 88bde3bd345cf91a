import { createStore, type StoreApi } from "zustand/vanilla";

import { changePreferences, getPreferences } from "@/api/preferences";
import type { Preferences } from "@/api/types";
import { showTheme, themes, type Theme } from "@/lib/appearance";
import { browserLanguage, isLanguage, showLanguage, type Language } from "@/lib/i18n";
import { readStored, writeStored } from "@/lib/stored";

/** How the page looks to this person. */
export interface Looks {
  theme: Theme;
  language: Language | "system";
  railHidden: boolean;
}

export interface PreferencesState extends Looks {
  /** Shows the page as the server remembers it; what it could not be told before, it is told now. */
  load: () => Promise<void>;
  setTheme: (theme: Theme) => void;
  setLanguage: (language: Language | "system") => void;
  setRailHidden: (hidden: boolean) => void;
}

export type PreferencesStore = StoreApi<PreferencesState>;

function toTheme(text: string | null): Theme {
  return themes.find((theme) => theme === text) ?? "system";
}

function toLanguage(text: string | null): Language | "system" {
  return text !== null && isLanguage(text) ? text : "system";
}

/**
 * The server keeps how the page looks. What this browser remembers is only for the first paint, and
 * for a page whose server is away.
 */
export function createPreferencesStore(): PreferencesStore {
  let shown: Partial<Looks> = {};
  let stopFollowing: (() => void) | null = null;
  /** What the server does not know yet. */
  let untold: Partial<Preferences> = {};

  function show({ theme, language, railHidden }: Looks) {
    if (theme !== shown.theme) {
      stopFollowing?.();
      stopFollowing = showTheme(theme);
      writeStored("theme", theme);
    }
    if (language !== shown.language) {
      // Where its texts can't be fetched, the page goes on in the language it has.
      const spoken = language === "system" ? browserLanguage() : language;
      showLanguage(spoken).catch(() => undefined);
      writeStored("language", language);
    }
    if (railHidden !== shown.railHidden) writeStored("rail-hidden", railHidden ? "yes" : "no");
    shown = { theme, language, railHidden };
  }

  async function tell() {
    const told = untold;
    if (Object.keys(told).length === 0) return;
    untold = {};
    try {
      await changePreferences(told);
    } catch {
      // It is told with the next change, or when the server is back.
      untold = { ...told, ...untold };
    }
  }

  return createStore<PreferencesState>()((set, get) => {
    const looks: Looks = {
      theme: toTheme(readStored("theme")),
      language: toLanguage(readStored("language")),
      railHidden: readStored("rail-hidden") === "yes",
    };
    show(looks);

    function change(part: Partial<Looks>, said: Partial<Preferences>) {
      set(part);
      show(get());
      untold = { ...untold, ...said };
      void tell();
    }

    return {
      ...looks,
      async load() {
        await tell();
        try {
          const { theme, language, rail_hidden } = { ...(await getPreferences()), ...untold };
          set({
            theme: toTheme(theme),
            language: toLanguage(language),
            railHidden: rail_hidden === true,
          });
          show(get());
        } catch {
          // Whoever can't be reached is asked again when it is back.
          return;
        }
      },
      setTheme(theme) {
        change({ theme }, { theme });
      },
      setLanguage(language) {
        change({ language }, { language });
      },
      setRailHidden(railHidden) {
        change({ railHidden }, { rail_hidden: railHidden });
      },
    };
  });
}
