import { send, sendForJson } from "@/api/client";
import type { ChangedSessions, DeletedSessions, Folder, Settings } from "@/api/types";

export interface SessionsPage {
  limit?: number;
  /** The sessions behind this one. */
  after?: string;
  /** A revision: only what has changed since. */
  since?: string;
}

/** Sessions from the first one on, those that follow one, or those that have changed. */
export function listSessions(page: SessionsPage): Promise<ChangedSessions> {
  const given = Object.entries(page).map(([name, value]) => [name, String(value)]);
  return sendForJson(`/api/sessions?${new URLSearchParams(given).toString()}`);
}

export async function listFolders(): Promise<Folder[]> {
  return (await sendForJson<{ folders: Folder[] }>("/api/folders")).folders;
}

export interface FolderChange {
  name?: string;
  settings?: Partial<Settings> | null;
}

export function createFolder(folder: FolderChange): Promise<Folder> {
  return sendForJson("/api/folders", { method: "POST", body: folder });
}

export function changeFolder(id: string, change: FolderChange): Promise<Folder> {
  return sendForJson(folderPath(id), { method: "PATCH", body: change });
}

/** Its chats are kept, in no folder, or deleted with it. */
export async function deleteFolder(id: string, chats: "keep" | "delete"): Promise<void> {
  await send(`${folderPath(id)}?chats=${chats}`, { method: "DELETE" });
}

function folderPath(id: string): string {
  return `/api/folders/${encodeURIComponent(id)}`;
}

/** Chats that can be restored. */
export function listDeleted(): Promise<DeletedSessions> {
  return sendForJson("/api/deleted");
}

/** Removes a deleted chat for good; without an id, all of them. */
export async function purgeDeleted(id?: string): Promise<void> {
  const path = id === undefined ? "/api/deleted" : `/api/deleted/${encodeURIComponent(id)}`;
  await send(path, { method: "DELETE" });
}

/** Chats as one file: these, or all. */
export async function exportChats(ids: readonly string[] | null): Promise<Blob> {
  const body = { session_ids: ids };
  return (await send("/api/export", { method: "POST", body })).blob();
}

/** Bytes of a file that the server takes at once, and some less. */
const mostAtOnce = 6_000_000;

/**
 * A file with chats as the server takes it: a large one of our own format becomes several, each with some of
 * its chats; any other stays as it is.
 */
export async function piecesOf(file: Blob): Promise<Blob[]> {
  if (file.size <= mostAtOnce) return [file];
  let whole: { format?: unknown; chats?: unknown };
  try {
    whole = JSON.parse(await file.text()) as typeof whole;
  } catch {
    return [file];
  }
  if (whole.format !== "appliance.chats" || !Array.isArray(whole.chats)) return [file];
  const pieces: string[][] = [[]];
  let size = 0;
  for (const chat of whole.chats.map((one) => JSON.stringify(one))) {
    // A character is at most three bytes.
    size += chat.length * 3;
    if (size > mostAtOnce && pieces.at(-1)?.length) {
      pieces.push([]);
      size = chat.length * 3;
    }
    pieces.at(-1)?.push(chat);
  }
  const head = JSON.stringify({ ...whole, chats: [] }).replace(/\[\]\}$/, "");
  return pieces.map((chats) => new Blob([head, "[", chats.join(","), "]}"]));
}

/** What was typed and not sent, by session id; "" for the new chat. */
export async function listDrafts(): Promise<Record<string, string>> {
  return (await sendForJson<{ drafts: Record<string, string> }>("/api/drafts")).drafts;
}

export async function putDraft(sessionId: string, text: string): Promise<void> {
  await send("/api/drafts", { method: "PUT", body: { session_id: sessionId, text } });
}
