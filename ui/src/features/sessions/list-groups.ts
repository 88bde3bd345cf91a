import type { TFunction } from "i18next";

import type { Folder, Session } from "@/api/types";
import { groupByDay } from "@/features/sessions/group-by-day";

/** A part of the list under one heading. */
export interface ListGroup {
  key: string;
  label: string;
  /** null: a day, or the pinned chats. */
  folder: Folder | null;
  /** All of its chats. */
  count: number;
  /** Those that are shown: none of a folder that is closed. */
  sessions: readonly Session[];
}

/** The folders with their chats, then all other chats by day. */
export function listGroups(
  sessions: readonly Session[],
  folders: readonly Folder[],
  opened: ReadonlySet<string>,
  now: Date,
  t: TFunction,
): ListGroup[] {
  const inside = new Map<string, Session[]>(folders.map(({ id }) => [id, []]));
  const others: Session[] = [];
  for (const session of sessions) {
    const folder = session.folder_id ? inside.get(session.folder_id) : undefined;
    (folder ?? others).push(session);
  }
  const ofFolders = folders.map((folder) => {
    const all = inside.get(folder.id) ?? [];
    return {
      key: folder.id,
      label: folder.name,
      folder,
      count: all.length,
      sessions: opened.has(folder.id) ? all : [],
    };
  });
  const ofDays = groupByDay(others, now, t).map(({ label, sessions: all }) => ({
    key: label,
    label,
    folder: null,
    count: all.length,
    sessions: all,
  }));
  return [...ofFolders, ...ofDays];
}

/** Heights of what the list has, in pixels: every row of a kind is as high as any other. */
export interface RowHeights {
  chat: number;
  folder: number;
  heading: number;
}

/** What is shown of a group. */
export interface ShownGroup {
  group: ListGroup;
  /** Pixels that are left out above its first shown chat, and below the last. */
  above: number;
  below: number;
  sessions: readonly Session[];
}

/** The groups and chats between two places of the list, and the room that the others take. */
export function shownPart(
  groups: readonly ListGroup[],
  heights: RowHeights,
  top: number,
  bottom: number,
): { above: number; shown: ShownGroup[]; below: number } {
  let [above, below, place] = [0, 0, 0];
  const shown: ShownGroup[] = [];
  for (const group of groups) {
    const head = group.folder ? heights.folder : heights.heading;
    const height = head + group.sessions.length * heights.chat;
    if (place + height < top) above += height;
    else if (place > bottom) below += height;
    else {
      const within = (at: number) =>
        Math.min(Math.max(Math.floor((at - place - head) / heights.chat), 0), group.sessions.length);
      const [from, to] = [within(top), within(bottom + heights.chat)];
      shown.push({
        group,
        above: from * heights.chat,
        below: (group.sessions.length - to) * heights.chat,
        sessions: group.sessions.slice(from, to),
      });
    }
    place += height;
  }
  return { above, shown, below };
}

/** Where a chat stands in the list, in pixels from its beginning; null: it is not shown. */
export function placeOf(
  groups: readonly ListGroup[],
  heights: RowHeights,
  id: string,
): number | null {
  let place = 0;
  for (const group of groups) {
    const head = group.folder ? heights.folder : heights.heading;
    const at = group.sessions.findIndex((session) => session.id === id);
    if (at >= 0) return place + head + at * heights.chat;
    place += head + group.sessions.length * heights.chat;
  }
  return null;
}
