import { send, sendForJson } from "@/api/client";
import type { Message, ServerStatus, Session } from "@/api/types";

function sessionPath(id: string, rest = ""): string {
  return `/api/sessions/${encodeURIComponent(id)}${rest}`;
}

export async function listSessions(): Promise<Session[]> {
  return (await sendForJson<{ sessions: Session[] }>("/api/sessions")).sessions;
}

export function createSession(title: string): Promise<Session> {
  return sendForJson("/api/sessions", { method: "POST", body: { title } });
}

export function getSession(id: string, signal?: AbortSignal): Promise<Session> {
  return sendForJson(sessionPath(id), signal ? { signal } : {});
}

export function renameSession(id: string, title: string): Promise<Session> {
  return sendForJson(sessionPath(id), { method: "PATCH", body: { title } });
}

export async function deleteSession(id: string): Promise<void> {
  await send(sessionPath(id), { method: "DELETE" });
}

/** Every node of the session's tree, oldest first. */
export async function listMessages(id: string, signal?: AbortSignal): Promise<Message[]> {
  const path = sessionPath(id, "/messages");
  return (await sendForJson<{ messages: Message[] }>(path, signal ? { signal } : {})).messages;
}

export interface TurnRequest {
  content: string;
  /** The message that this one answers; null starts the session. */
  parent_id: string | null;
}

/** Opens the event stream of a new turn. */
export function startTurn(id: string, turn: TurnRequest, signal: AbortSignal): Promise<Response> {
  return send(sessionPath(id, "/turns"), { method: "POST", body: turn, signal });
}

/** Opens the event stream of the reply under way, from a code point offset on. */
export function openLive(id: string, from: number, signal: AbortSignal): Promise<Response> {
  return send(sessionPath(id, `/live?from=${from}`), { signal });
}

export async function stopReply(id: string): Promise<void> {
  await send(sessionPath(id, "/stop"), { method: "POST" });
}

export function getStatus(signal?: AbortSignal): Promise<ServerStatus> {
  return sendForJson("/api/status", signal ? { signal } : {});
}
