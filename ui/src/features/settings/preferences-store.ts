import { createStore, type StoreApi } from "zustand/vanilla";

import { changePreferences, getPreferences } from "@/api/preferences";
import type { Preferences } from "@/api/types";
import {
  showText,
  showTheme,
  textSizes,
  textWidths,
  themes,
  type TextSize,
  type TextWidth,
  type Theme,
} from "@/lib/appearance";
import { browserLanguage, isLanguage, showLanguage, type Language } from "@/lib/i18n";
import { readStored, writeStored } from "@/lib/stored";

/** How the page looks. */
export interface Appearance {
  theme: Theme;
  language: Language | "system";
  railHidden: boolean;
  textSize: TextSize;
  textWidth: TextWidth;
}

export interface PreferencesState extends Appearance {
  /** Applies the preferences stored on the server, after sending it those that it does not have yet. */
  load: () => Promise<void>;
  setTheme: (theme: Theme) => void;
  setLanguage: (language: Language | "system") => void;
  setRailHidden: (hidden: boolean) => void;
  setTextSize: (size: TextSize) => void;
  setTextWidth: (width: TextWidth) => void;
}

export type PreferencesStore = StoreApi<PreferencesState>;

function toTheme(text: string | null): Theme {
  return themes.find((theme) => theme === text) ?? "system";
}

function toTextSize(text: string | null): TextSize {
  return textSizes.find((size) => size === text) ?? "medium";
}

function toTextWidth(text: string | null): TextWidth {
  return textWidths.find((width) => width === text) ?? "medium";
}

function toLanguage(text: string | null): Language | "system" {
  return text !== null && isLanguage(text) ? text : "system";
}

/**
 * The server stores the preferences. Those stored in this browser are only for the first paint, and
 * for when the server is unreachable.
 */
export function createPreferencesStore(): PreferencesStore {
  let shown: Partial<Appearance> = {};
  let stopFollowing: (() => void) | null = null;
  /** Changes that the server does not have yet. */
  let unsaved: Partial<Preferences> = {};

  function show({ theme, language, railHidden, textSize, textWidth }: Appearance) {
    if (theme !== shown.theme) {
      stopFollowing?.();
      stopFollowing = showTheme(theme);
      writeStored("theme", theme);
    }
    if (language !== shown.language) {
      // If the texts can't be fetched, the page stays in its language.
      const shownLanguage = language === "system" ? browserLanguage() : language;
      showLanguage(shownLanguage).catch(() => undefined);
      writeStored("language", language);
    }
    if (railHidden !== shown.railHidden) writeStored("rail-hidden", railHidden ? "yes" : "no");
    if (textSize !== shown.textSize || textWidth !== shown.textWidth) {
      showText(textSize, textWidth);
      writeStored("text-size", textSize);
      writeStored("text-width", textWidth);
    }
    shown = { theme, language, railHidden, textSize, textWidth };
  }

  async function save() {
    const sending = unsaved;
    if (Object.keys(sending).length === 0) return;
    unsaved = {};
    try {
      await changePreferences(sending);
    } catch {
      // Sent with the next change, or when the server is back.
      unsaved = { ...sending, ...unsaved };
    }
  }

  return createStore<PreferencesState>()((set, get) => {
    const appearance: Appearance = {
      theme: toTheme(readStored("theme")),
      language: toLanguage(readStored("language")),
      railHidden: readStored("rail-hidden") === "yes",
      textSize: toTextSize(readStored("text-size")),
      textWidth: toTextWidth(readStored("text-width")),
    };
    show(appearance);

    function change(part: Partial<Appearance>, preferences: Partial<Preferences>) {
      set(part);
      show(get());
      unsaved = { ...unsaved, ...preferences };
      void save();
    }

    return {
      ...appearance,
      async load() {
        await save();
        try {
          const stored = { ...(await getPreferences()), ...unsaved };
          const { theme, language, rail_hidden, text_size, text_width } = stored;
          set({
            theme: toTheme(theme),
            language: toLanguage(language),
            railHidden: rail_hidden === true,
            textSize: toTextSize(text_size),
            textWidth: toTextWidth(text_width),
          });
          show(get());
        } catch {
          // Loaded again when the server is back.
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
      setTextSize(textSize) {
        change({ textSize }, { text_size: textSize });
      },
      setTextWidth(textWidth) {
        change({ textWidth }, { text_width: textWidth });
      },
    };
  });
}
