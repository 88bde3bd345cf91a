import { send, sendForJson } from "@/api/client";
import type {
  ImportReport,
  Message,
  SearchHit,
  SentPrompt,
  ServerStatus,
  Session,
  Settings,
} from "@/api/types";

export function sessionPath(id: string, rest = ""): string {
  return `/api/sessions/${encodeURIComponent(id)}${rest}`;
}

/** `settings`: of the chat alone; null: none. `folderId`: the folder whose settings it begins with. */
export function createSession(
  title: string,
  settings: Settings | null,
  folderId: string | null = null,
): Promise<Session> {
  const body = {
    title,
    ...(settings === null ? {} : { settings }),
    ...(folderId === null ? {} : { folder_id: folderId }),
  };
  return sendForJson("/api/sessions", { method: "POST", body });
}

export function getSession(id: string, signal?: AbortSignal): Promise<Session> {
  return sendForJson(sessionPath(id), signal ? { signal } : {});
}

export interface SessionChange {
  title?: string;
  pinned?: boolean;
  leaf_id?: string;
  /** null: in no folder. */
  folder_id?: string | null;
  settings?: Partial<Settings> | null;
}

export function changeSession(id: string, change: SessionChange): Promise<Session> {
  return sendForJson(sessionPath(id), { method: "PATCH", body: change });
}

/** It can be restored for a while: see `restoreSession`. */
export async function deleteSession(id: string): Promise<void> {
  await send(sessionPath(id), { method: "DELETE" });
}

export function restoreSession(id: string): Promise<Session> {
  return sendForJson(sessionPath(id, "/restore"), { method: "POST" });
}

/** Agrees that chats without activity for so long are deleted. */
export async function confirmExpiry(ttlSeconds: number): Promise<void> {
  await send("/api/expiry", { method: "POST", body: { ttl_seconds: ttlSeconds } });
}

/** Imports the chats of a file of any program that is known. */
export function importChats(name: string, file: Blob): Promise<ImportReport> {
  return sendForJson(`/api/import?name=${encodeURIComponent(name)}`, { method: "POST", file });
}

/** The path of a session as a file. */
export function exportPath(id: string): string {
  return sessionPath(id, "/export");
}

/** Chats and messages that contain all the words. */
export function searchMessages(
  query: string,
  offset: number,
  signal: AbortSignal,
): Promise<{ hits: SearchHit[]; more: boolean }> {
  const parameters = new URLSearchParams({ q: query, limit: "20", offset: String(offset) });
  return sendForJson(`/api/search?${parameters.toString()}`, { signal });
}

/** Nodes of the session's tree, oldest first: the newest, or those made before a message. */
export function listMessages(
  id: string,
  page: { limit: number; before?: string },
  signal: AbortSignal,
): Promise<{ messages: Message[]; more?: boolean }> {
  const before = page.before === undefined ? "" : `&before=${encodeURIComponent(page.before)}`;
  return sendForJson(sessionPath(id, `/messages?limit=${page.limit}${before}`), { signal });
}

export async function listAllMessages(id: string): Promise<Message[]> {
  return (await sendForJson<{ messages: Message[] }>(sessionPath(id, "/messages"))).messages;
}

function messagePath(id: string, messageId: string, rest = ""): string {
  return sessionPath(id, `/messages/${encodeURIComponent(messageId)}${rest}`);
}

/** Adds another version of a message, with this text. */
export function editMessage(id: string, messageId: string, content: string): Promise<Message> {
  return sendForJson(messagePath(id, messageId, "/edit"), { method: "POST", body: { content } });
}

/** Removes a message, or the question and its replies; it can be restored for a while. */
export function removeMessage(
  id: string,
  messageId: string,
  turn: boolean,
): Promise<{ message_ids: string[] }> {
  const path = messagePath(id, messageId, turn ? "?turn=true" : "");
  return sendForJson(path, { method: "DELETE" });
}

export async function restoreMessage(id: string, messageId: string): Promise<void> {
  await send(messagePath(id, messageId, "/restore"), { method: "POST" });
}

/** A new chat with a copy of the messages up to this one. */
export function branchAt(id: string, messageId: string, title: string): Promise<Session> {
  return sendForJson(messagePath(id, messageId, "/branch"), { method: "POST", body: { title } });
}

/** The prompt that a reply is the reply to. */
export function getPrompt(id: string, messageId: string, signal: AbortSignal): Promise<SentPrompt> {
  return sendForJson(messagePath(id, messageId, "/prompt"), { signal });
}

/** A request for a reply. */
export type ReplyStart =
  /** `parent_id`: the message that this one answers; null starts the session. */
  | { kind: "turn"; content: string; parent_id: string | null; attachments?: readonly string[] }
  /** Another version of this reply, or its continuation; `model`: by another one. */
  | { kind: "regenerate" | "continue"; message_id: string; model?: string };

/** Opens the event stream of a new reply. */
export function startReply(id: string, start: ReplyStart, signal: AbortSignal): Promise<Response> {
  if (start.kind === "turn") {
    const { content, parent_id, attachments } = start;
    const body = { content, parent_id, attachments };
    return send(sessionPath(id, "/turns"), { method: "POST", body, signal });
  }
  const { kind, message_id, ...body } = start;
  return send(messagePath(id, message_id, `/${kind}`), { method: "POST", body, signal });
}

/** Opens the event stream of the reply in progress, from a code point offset on. */
export function openLive(id: string, from: number, signal: AbortSignal): Promise<Response> {
  return send(sessionPath(id, `/live?from=${from}`), { signal });
}

export async function stopReply(id: string): Promise<void> {
  await send(sessionPath(id, "/stop"), { method: "POST" });
}

export function getStatus(signal?: AbortSignal): Promise<ServerStatus> {
  return sendForJson("/api/status", signal ? { signal } : {});
}
