import { createStore, type StoreApi } from "zustand/vanilla";

import { ApiError, send, Unreachable } from "@/api/client";
import {
  changeSession,
  deleteSession,
  exportPath,
  importChats,
  listSessions,
  restoreSession,
} from "@/api/endpoints";
import type { ImportReport, Session } from "@/api/types";

/** How often the list is loaded while a reply is in progress somewhere, so that its mark disappears. */
const livePollMs = 3000;
/** How often otherwise, while the page is visible: another window may have changed it. */
const quietPollMs = 10_000;

export interface SessionsState {
  /** "away": the server can't be reached; the list is loaded when it is back. */
  phase: "loading" | "ready" | "failed" | "away";
  /** Pinned ones first, then newest updated first. */
  sessions: readonly Session[];

  load: () => Promise<void>;
  /** Keeps the list up to date until the returned function is called. */
  watch: () => () => void;
  /** Adds a new session before the server's next list arrives. */
  add: (session: Session) => void;
  /** Shows the change immediately. If it can't be stored, reverts it and throws. */
  change: (id: string, change: { title?: string; pinned?: boolean }) => Promise<void>;
  remove: (id: string) => Promise<void>;
  /** Restores a deleted session. */
  restore: (id: string) => Promise<Session>;
  /** The whole session as a file. */
  exportFile: (id: string) => Promise<Blob>;
  /** Imports the chats of a file. */
  importFile: (file: Blob) => Promise<ImportReport>;
}

export interface SessionsStoreDeps {
  onUnreachable: () => void;
  /** The list was loaded. */
  onList?: (sessions: readonly Session[]) => void;
}

export type SessionsStore = StoreApi<SessionsState>;

function sortSessions(sessions: readonly Session[]): Session[] {
  return sessions.toSorted(
    (one, other) =>
      Number(other.pinned) - Number(one.pinned) || other.updated_at - one.updated_at,
  );
}

export function createSessionsStore(deps: SessionsStoreDeps): SessionsStore {
  let latestRequest = 0;
  let watchers = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  return createStore<SessionsState>()((set, get) => {
    function replace(id: string, change: (session: Session) => Session) {
      set(({ sessions }) => ({
        sessions: sortSessions(
          sessions.map((session) => (session.id === id ? change(session) : session)),
        ),
      }));
    }

    function later(ms: number) {
      clearTimeout(timer);
      timer = setTimeout(() => void load(), ms);
    }

    async function load() {
      clearTimeout(timer);
      latestRequest += 1;
      const request = latestRequest;
      try {
        const sessions = await listSessions();
        // Responses may arrive out of order; the last request counts.
        if (request !== latestRequest) return;
        set({ phase: "ready", sessions });
        deps.onList?.(sessions);
        if (sessions.some(({ live_message_id }) => live_message_id !== null)) later(livePollMs);
        else if (watchers > 0 && document.visibilityState === "visible") later(quietPollMs);
      } catch (error) {
        const away = error instanceof Unreachable;
        if (away) deps.onUnreachable();
        // A list that was loaded before stays, even if it is out of date.
        if (request === latestRequest && get().phase !== "ready") set({ phase: away ? "away" : "failed" });
      }
    }

    function refreshIfVisible() {
      if (document.visibilityState === "visible") void load();
    }

    return {
      phase: "loading",
      sessions: [],
      load,
      watch() {
        watchers += 1;
        void load();
        document.addEventListener("visibilitychange", refreshIfVisible);
        return () => {
          watchers -= 1;
          clearTimeout(timer);
          document.removeEventListener("visibilitychange", refreshIfVisible);
        };
      },
      add(session) {
        set(({ sessions }) => ({
          sessions: sortSessions([session, ...sessions.filter(({ id }) => id !== session.id)]),
        }));
      },
      async change(id, change) {
        const before = get().sessions.find((session) => session.id === id);
        replace(id, (session) => ({ ...session, ...change }));
        try {
          const changed = await changeSession(id, change);
          replace(id, () => changed);
        } catch (error) {
          if (before) replace(id, () => before);
          throw error;
        }
      },
      async remove(id) {
        try {
          await deleteSession(id);
        } catch (error) {
          // Already deleted elsewhere.
          if (!(error instanceof ApiError && error.status === 404)) throw error;
        }
        set(({ sessions }) => ({ sessions: sessions.filter((session) => session.id !== id) }));
        void load();
      },
      async restore(id) {
        const session = await restoreSession(id);
        get().add(session);
        return session;
      },
      async exportFile(id) {
        return (await send(exportPath(id))).blob();
      },
      async importFile(file) {
        const report = await importChats(file);
        await load();
        return report;
      },
    };
  });
}
