import { createStore, type StoreApi } from "zustand/vanilla";

import { ApiError, send, Unreachable } from "@/api/client";
import {
  changeSession,
  deleteSession,
  exportPath,
  importSession,
  listSessions,
  restoreSession,
} from "@/api/endpoints";
import type { Session } from "@/api/types";

/** How often the list is read while a reply is written somewhere, so that its mark goes out. */
const livePollMs = 3000;
/** How often otherwise, while the page is seen: another window may have added to it. */
const quietPollMs = 10_000;

export interface SessionsState {
  /** "away": the server can't be reached, and the list is read again when it can. */
  phase: "loading" | "ready" | "failed" | "away";
  /** Pinned ones first, then newest updated first. */
  sessions: readonly Session[];

  load: () => Promise<void>;
  /** Keeps the list fresh until the returned function is called. */
  watch: () => () => void;
  /** A session just made, ahead of the server's next list. */
  add: (session: Session) => void;
  /** Shows the change at once; throws, with the session as it was, if it can't be stored. */
  change: (id: string, change: { title?: string; pinned?: boolean }) => Promise<void>;
  remove: (id: string) => Promise<void>;
  /** Brings a deleted session back. */
  restore: (id: string) => Promise<Session>;
  /** The whole session as a file. */
  exportFile: (id: string) => Promise<Blob>;
  /** Makes a session of such a file; throws SyntaxError when it is no JSON. */
  importFile: (file: Blob) => Promise<Session>;
}

export interface SessionsStoreDeps {
  onUnreachable: () => void;
  /** The list was read. */
  onList?: (sessions: readonly Session[]) => void;
}

export type SessionsStore = StoreApi<SessionsState>;

function inOrder(sessions: readonly Session[]): Session[] {
  return sessions.toSorted(
    (one, other) =>
      Number(other.pinned) - Number(one.pinned) || other.updated_at - one.updated_at,
  );
}

export function createSessionsStore(deps: SessionsStoreDeps): SessionsStore {
  let newest = 0;
  let watchers = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  return createStore<SessionsState>()((set, get) => {
    function replace(id: string, change: (session: Session) => Session) {
      set(({ sessions }) => ({
        sessions: inOrder(
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
      newest += 1;
      const mine = newest;
      try {
        const sessions = await listSessions();
        // Answers may overtake each other; the last question counts.
        if (mine !== newest) return;
        set({ phase: "ready", sessions });
        deps.onList?.(sessions);
        if (sessions.some(({ live_message_id }) => live_message_id !== null)) later(livePollMs);
        else if (watchers > 0 && document.visibilityState === "visible") later(quietPollMs);
      } catch (error) {
        const away = error instanceof Unreachable;
        if (away) deps.onUnreachable();
        // A list that was read once stays, old as it is.
        if (mine === newest && get().phase !== "ready") set({ phase: away ? "away" : "failed" });
      }
    }

    function seen() {
      if (document.visibilityState === "visible") void load();
    }

    return {
      phase: "loading",
      sessions: [],
      load,
      watch() {
        watchers += 1;
        void load();
        document.addEventListener("visibilitychange", seen);
        return () => {
          watchers -= 1;
          clearTimeout(timer);
          document.removeEventListener("visibilitychange", seen);
        };
      },
      add(session) {
        set(({ sessions }) => ({
          sessions: inOrder([session, ...sessions.filter(({ id }) => id !== session.id)]),
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
          // Deleted elsewhere already: what was wanted.
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
        const session = await importSession(JSON.parse(await file.text()));
        get().add(session);
        return session;
      },
    };
  });
}
