import { createStore, type StoreApi } from "zustand/vanilla";

import { Unreachable } from "@/api/client";
import { changeSession, getProfile, getSession, putProfile } from "@/api/endpoints";
import type { Profile, Session, Settings } from "@/api/types";

export const unsetSettings: Settings = {
  model: null,
  device: null,
  temperature: null,
  top_p: null,
  top_k: null,
  max_tokens: null,
  repeat_penalty: null,
  system_prompt: null,
  stop: null,
};

/** Debounce time before a change is stored. */
const pauseMs = 500;

export interface SettingsState {
  phase: "loading" | "ready" | "failed";
  /** The profile of every chat, with the built-in values behind it. */
  profile: Profile | null;
  /** The chat that is open; null for a new one. */
  sessionId: string | null;
  /** The settings of that chat. */
  session: Settings;
  saving: "idle" | "waiting" | "saved" | "failed";

  /** Loads the settings of a chat and of the profile. */
  load: (sessionId: string | null) => Promise<void>;
  /** Changes some settings of the chat or of every chat, and stores them. */
  change: (scope: SettingsScope, part: Partial<Settings>) => void;
}

export type SettingsScope = "chat" | "all";

export interface SettingsStoreDeps {
  onUnreachable: () => void;
  onSessionChanged: (session: Session) => void;
}

export type SettingsStore = StoreApi<SettingsState>;

function isEmpty(settings: Settings): boolean {
  return Object.values(settings).every((value) => value === null);
}

/** Only the settings of an object that may have more fields. */
export function settingsOf(source: Settings): Settings {
  const names = Object.keys(unsetSettings) as (keyof Settings)[];
  return Object.fromEntries(names.map((name) => [name, source[name]])) as unknown as Settings;
}

export function createSettingsStore(deps: SettingsStoreDeps): SettingsStore {
  /** Stores the pending change now; null if there is none. */
  let flush: (() => void) | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;

  return createStore<SettingsState>()((set, get) => {
    async function store(write: () => Promise<void>) {
      try {
        await write();
        // Another change may be pending.
        if (flush === null) set({ saving: "saved" });
      } catch (error) {
        if (error instanceof Unreachable) deps.onUnreachable();
        set({ saving: "failed" });
      }
    }

    function storeLater(write: () => Promise<void>) {
      clearTimeout(timer);
      set({ saving: "waiting" });
      flush = () => {
        clearTimeout(timer);
        flush = null;
        void store(write);
      };
      timer = setTimeout(flush, pauseMs);
    }

    return {
      phase: "loading",
      profile: null,
      sessionId: null,
      session: unsetSettings,
      saving: "idle",

      async load(sessionId) {
        flush?.();
        set({ phase: "loading", sessionId, session: unsetSettings, saving: "idle" });
        try {
          const [profile, session] = await Promise.all([
            getProfile(),
            sessionId === null ? null : getSession(sessionId),
          ]);
          if (get().sessionId !== sessionId) return;
          set({ phase: "ready", profile, session: session?.settings ?? unsetSettings });
        } catch (error) {
          if (error instanceof Unreachable) deps.onUnreachable();
          if (get().sessionId === sessionId) set({ phase: "failed" });
        }
      },
      change(scope, part) {
        const { sessionId, profile } = get();
        if (profile === null) return;
        if (scope === "all") {
          const changed = { ...profile, ...part };
          set({ profile: changed });
          storeLater(() => putProfile(settingsOf(changed)));
        } else if (sessionId !== null) {
          const session = { ...get().session, ...part };
          set({ session });
          storeLater(async () => {
            const settings = isEmpty(session) ? null : session;
            deps.onSessionChanged(await changeSession(sessionId, { settings }));
          });
        }
      },
    };
  });
}
