import { createStore, type StoreApi } from "zustand/vanilla";

import { ApiError, Unreachable } from "@/api/client";
import { deleteSession, listSessions, renameSession } from "@/api/endpoints";
import type { Session } from "@/api/types";

/** How often the list is read while a reply is written somewhere, so that its mark goes out. */
const livePollMs = 3000;

export interface SessionsState {
  /** "away": the server can't be reached, and the list is read again when it can. */
  phase: "loading" | "ready" | "failed" | "away";
  /** Newest updated first. */
  sessions: readonly Session[];

  load: () => Promise<void>;
  /** A session just made, ahead of the server's next list. */
  add: (session: Session) => void;
  /** Shows the new title at once; throws, with the old title back, if it can't be stored. */
  rename: (id: string, title: string) => Promise<void>;
  remove: (id: string) => Promise<void>;
}

export interface SessionsStoreDeps {
  onUnreachable: () => void;
}

export type SessionsStore = StoreApi<SessionsState>;

export function createSessionsStore(deps: SessionsStoreDeps): SessionsStore {
  let newest = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  return createStore<SessionsState>()((set, get) => {
    function replace(id: string, change: (session: Session) => Session) {
      set(({ sessions }) => ({
        sessions: sessions.map((session) => (session.id === id ? change(session) : session)),
      }));
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
        if (sessions.some(({ live_message_id }) => live_message_id !== null)) {
          timer = setTimeout(() => void load(), livePollMs);
        }
      } catch (error) {
        const away = error instanceof Unreachable;
        if (away) deps.onUnreachable();
        // A list that was read once stays, old as it is.
        if (mine === newest && get().phase !== "ready") set({ phase: away ? "away" : "failed" });
      }
    }

    return {
      phase: "loading",
      sessions: [],
      load,
      add(session) {
        set(({ sessions }) => ({ sessions: [session, ...sessions] }));
      },
      async rename(id, title) {
        const before = get().sessions.find((session) => session.id === id);
        replace(id, (session) => ({ ...session, title }));
        try {
          const renamed = await renameSession(id, title);
          replace(id, () => renamed);
        } catch (error) {
          if (before) replace(id, (session) => ({ ...session, title: before.title }));
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
    };
  });
}
