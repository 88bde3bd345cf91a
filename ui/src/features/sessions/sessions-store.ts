import { createStore, type StoreApi } from "zustand/vanilla";

import { ApiError, send, Unreachable } from "@/api/client";
import {
  changeSession,
  deleteSession,
  exportPath,
  importChats,
  restoreSession,
  type SessionChange,
} from "@/api/endpoints";
import {
  changeFolder,
  createFolder,
  deleteFolder,
  exportChats,
  listFolders,
  listSessions,
  piecesOf,
  type FolderChange,
} from "@/api/organizing";
import type { ChangedSessions, Folder, ImportReport, Session } from "@/api/types";

/** How often changes are asked for while a reply is in progress somewhere, so that its mark disappears. */
const livePollMs = 3000;
/** How often otherwise, while the page is visible: another window may have changed something. */
const quietPollMs = 10_000;
/** Chats that are loaded first, and then at a time. */
const firstPage = 100;
const laterPages = 1000;

export interface SessionsState {
  /** "away": the server can't be reached; the list is loaded when it is back. */
  phase: "loading" | "ready" | "failed" | "away";
  /** Pinned ones first, then newest updated first. */
  sessions: readonly Session[];
  /** By name. */
  folders: readonly Folder[];

  /** Brings the list up to date: after the first time, only what has changed is sent. */
  load: () => Promise<void>;
  /** Keeps the list up to date until the returned function is called. */
  watch: () => () => void;
  /** Adds a new session before the server's next list arrives. */
  add: (session: Session) => void;
  /** Shows the change immediately. If it can't be stored, reverts it and throws. */
  change: (id: string, change: Pick<SessionChange, "title" | "pinned" | "folder_id">) => Promise<void>;
  remove: (ids: readonly string[]) => Promise<void>;
  /** Restores a deleted session. */
  restore: (id: string) => Promise<Session>;
  /** The whole session as a file. */
  exportFile: (id: string) => Promise<Blob>;
  /** Sessions in one file; null: all. */
  exportMany: (ids: readonly string[] | null) => Promise<Blob>;
  /** Imports the chats of a file. */
  importFile: (name: string, file: Blob) => Promise<ImportReport>;
  addFolder: (folder: FolderChange) => Promise<Folder>;
  changeFolder: (id: string, change: FolderChange) => Promise<void>;
  removeFolder: (id: string, chats: "keep" | "delete") => Promise<void>;
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

function sortFolders(folders: readonly Folder[]): Folder[] {
  return folders.toSorted((one, other) => one.name.localeCompare(other.name));
}

/** The list with some sessions in their new state, and without those that are gone. */
function merged(
  list: readonly Session[],
  changed: readonly Session[],
  gone: readonly string[],
): readonly Session[] {
  if (changed.length === 0 && gone.length === 0) return list;
  const replaced = new Set([...gone, ...changed.map(({ id }) => id)]);
  return sortSessions([...changed, ...list.filter(({ id }) => !replaced.has(id))]);
}

export function createSessionsStore(deps: SessionsStoreDeps): SessionsStore {
  let loading: Promise<void> | null = null;
  /** How often the list was asked for. */
  let asked = 0;
  let watchers = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  /** What the next changes are asked for with; null: nothing was loaded yet. */
  let revision: string | null = null;

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

    function load(): Promise<void> {
      clearTimeout(timer);
      asked += 1;
      // One after the other: an answer may be about a time before the last change.
      loading ??= loadUntilDone();
      return loading;
    }

    async function loadUntilDone() {
      let answered;
      do {
        answered = asked;
        await loadOnce();
      } while (answered !== asked);
      loading = null;
    }

    async function loadOnce() {
      try {
        const known = revision;
        const [answer, folders] = await Promise.all([
          listSessions(known === null ? { limit: firstPage } : { since: known, limit: firstPage }),
          listFolders(),
        ]);
        if (JSON.stringify(folders) !== JSON.stringify(get().folders)) {
          set({ folders: sortFolders(folders) });
        }
        if (answer.whole) await loadWhole(answer);
        else {
          const sessions = merged(get().sessions, answer.sessions, answer.gone ?? []);
          set({ phase: "ready", sessions });
          revision = answer.revision;
        }
        const { sessions } = get();
        deps.onList?.(sessions);
        if (sessions.some(({ live_message_id }) => live_message_id !== null)) later(livePollMs);
        else if (watchers > 0 && document.visibilityState === "visible") later(quietPollMs);
      } catch (error) {
        const away = error instanceof Unreachable;
        if (away) deps.onUnreachable();
        // A list that was loaded before stays, even if it is out of date.
        if (get().phase !== "ready") set({ phase: away ? "away" : "failed" });
      }
    }

    /** The first page is shown while the others follow. */
    async function loadWhole(first: ChangedSessions) {
      let { sessions, more = false } = first;
      set({ phase: "ready", sessions });
      for (let last = sessions.at(-1); more && last; last = sessions.at(-1)) {
        const next = await listSessions({ limit: laterPages, after: last.id });
        const known = new Set(sessions.map(({ id }) => id));
        sessions = [...sessions, ...next.sessions.filter(({ id }) => !known.has(id))];
        more = next.more ?? false;
        set({ sessions });
      }
      // What has changed meanwhile comes with the next changes.
      revision = first.revision;
    }

    function refreshIfVisible() {
      if (document.visibilityState === "visible") void load();
    }

    return {
      phase: "loading",
      sessions: [],
      folders: [],
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
        set(({ sessions }) => ({ sessions: merged(sessions, [session], []) }));
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
      async remove(ids) {
        for (const id of ids) {
          try {
            await deleteSession(id);
          } catch (error) {
            // Already deleted elsewhere.
            if (!(error instanceof ApiError && error.status === 404)) throw error;
          }
          set(({ sessions }) => ({ sessions: sessions.filter((session) => session.id !== id) }));
        }
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
      exportMany: exportChats,
      async importFile(name, file) {
        const whole: ImportReport = { imported: [], already_here: 0, skipped: [], failed: [] };
        for (const piece of await piecesOf(file)) {
          const { imported, already_here, failed } = await importChats(name, piece);
          whole.imported.push(...imported);
          whole.already_here += already_here;
          whole.failed.push(...failed);
        }
        await load();
        return whole;
      },
      async addFolder(folder) {
        const made = await createFolder(folder);
        set(({ folders }) => ({ folders: sortFolders([...folders, made]) }));
        return made;
      },
      async changeFolder(id, change) {
        const changed = await changeFolder(id, change);
        set(({ folders }) => ({
          folders: sortFolders([...folders.filter((one) => one.id !== id), changed]),
        }));
      },
      async removeFolder(id, chats) {
        await deleteFolder(id, chats);
        set(({ folders }) => ({ folders: folders.filter((one) => one.id !== id) }));
        await load();
      },
    };
  });
}
