import { createStore, type StoreApi } from "zustand/vanilla";

import { Unreachable } from "@/api/client";
import { changeSession, getSession } from "@/api/endpoints";
import { changeProfile, getProfile, isUnset, settingsOf, unsetSettings } from "@/api/settings";
import type { Profile, Session, Settings } from "@/api/types";
import { readStored, writeStored } from "@/lib/stored";

/** Debounce time before a change is stored. */
const pauseMs = 500;
const draftName = "draft-settings";

export interface SettingsState {
  phase: "loading" | "ready" | "failed";
  /** The settings of everybody, with the built-in values behind them. */
  profile: Profile | null;
  /** The chat that is open; null for a new one. */
  sessionId: string | null;
  /** The settings of that chat. */
  session: Settings;
  /** The settings that the next new chat begins with, kept in this browser. */
  draft: Settings;
  saving: "idle" | "waiting" | "saved" | "failed";
  /** What `saving` is about. */
  savingOf: SettingsScope;
  /** Why the last change was not saved, if the server gave a reason. */
  failure: string | null;

  /** Loads the settings of a chat and of everybody. */
  load: (sessionId: string | null) => Promise<void>;
  /** A new chat was created with the draft's settings: they are the chat's from now on. */
  adopt: (session: Session) => void;
  /** Changes some settings of the open chat or of everybody, and stores them. */
  change: (scope: SettingsScope, part: Partial<Settings>) => void;
}

export type SettingsScope = "chat" | "all";

export interface SettingsStoreDeps {
  onUnreachable: () => void;
  onSessionChanged: (session: Session) => void;
}

export type SettingsStore = StoreApi<SettingsState>;

function readDraft(): Settings {
  try {
    const stored: unknown = JSON.parse(readStored(draftName) ?? "null");
    return settingsOf(typeof stored === "object" && stored !== null ? stored : {});
  } catch {
    return unsetSettings;
  }
}

/** The model that answers in the open chat; null while that is not known. */
export function chosenModel({ session, profile }: SettingsState): string | null {
  return session.model ?? profile?.model ?? profile?.defaults.model ?? null;
}

export function createSettingsStore(deps: SettingsStoreDeps): SettingsStore {
  /** Changes that the server does not have yet, by session id; "" for everybody. */
  const unsaved = new Map<string, Partial<Settings>>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  return createStore<SettingsState>()((set, get) => {
    async function write(target: string, part: Partial<Settings>) {
      if (target === "") {
        const profile = await changeProfile(part);
        if (!unsaved.has("")) set({ profile });
      } else {
        deps.onSessionChanged(await changeSession(target, { settings: part }));
      }
    }

    async function save() {
      clearTimeout(timer);
      const sending = [...unsaved];
      unsaved.clear();
      for (const [target, part] of sending) {
        try {
          await write(target, part);
          // Another change may be pending.
          if (unsaved.size === 0) set({ saving: "saved", failure: null });
        } catch (error) {
          if (error instanceof Unreachable) deps.onUnreachable();
          // Sent again with the next change of the same settings.
          unsaved.set(target, { ...part, ...unsaved.get(target) });
          set({ saving: "failed", failure: error instanceof Error ? error.message : null });
        }
      }
    }

    function storeLater(target: string, part: Partial<Settings>) {
      unsaved.set(target, { ...unsaved.get(target), ...part });
      clearTimeout(timer);
      set({ saving: "waiting" });
      timer = setTimeout(() => void save(), pauseMs);
    }

    const draft = readDraft();
    return {
      phase: "loading",
      profile: null,
      sessionId: null,
      session: draft,
      draft,
      saving: "idle",
      savingOf: "chat",
      failure: null,

      async load(sessionId) {
        if (unsaved.size > 0) void save();
        if (sessionId !== get().sessionId) {
          const session = sessionId === null ? get().draft : unsetSettings;
          set({ phase: "loading", sessionId, session, saving: "idle", failure: null });
        }
        try {
          const [profile, session] = await Promise.all([
            getProfile(),
            sessionId === null ? null : getSession(sessionId),
          ]);
          if (get().sessionId !== sessionId) return;
          const own = session === null ? get().draft : settingsOf(session.settings ?? {});
          // What is being changed here is newer.
          const changed = sessionId === null ? {} : unsaved.get(sessionId);
          const ofAll = unsaved.get("");
          set({
            phase: "ready",
            profile: { ...profile, ...ofAll },
            session: { ...own, ...changed },
          });
        } catch (error) {
          if (error instanceof Unreachable) deps.onUnreachable();
          if (get().sessionId === sessionId && get().phase === "loading") set({ phase: "failed" });
        }
      },
      adopt({ id, settings }) {
        writeStored(draftName, "null");
        set({ sessionId: id, session: settingsOf(settings ?? {}), draft: unsetSettings });
      },
      change(scope, part) {
        const { sessionId, profile, session, draft: before } = get();
        if (scope === "all") {
          if (profile === null) return;
          set({ profile: { ...profile, ...part }, savingOf: "all" });
          storeLater("", part);
        } else if (sessionId !== null) {
          set({ session: { ...session, ...part }, savingOf: "chat" });
          storeLater(sessionId, part);
        } else {
          const changed = { ...before, ...part };
          const saved = { saving: "saved", savingOf: "chat", failure: null } as const;
          set({ draft: changed, session: changed, ...saved });
          writeStored(draftName, JSON.stringify(isUnset(changed) ? null : changed));
        }
      },
    };
  });
}
