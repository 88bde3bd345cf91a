import type { Message } from "@/api/types";

/** A session that is read, or a reply that is followed. */
export interface Run {
  sessionId: string;
  abort: AbortController;
  /** Whether the server has the message: before that, leaving must not cut the socket. */
  accepted: boolean;
  left: boolean;
  stopWanted: boolean;
}

/** A send that failed: the server may have stored its message all the same. */
export interface Unsure {
  sessionId: string;
  parentId: string | null;
  content: string;
}

export function newRun(sessionId: string, accepted: boolean): Run {
  return { sessionId, abort: new AbortController(), accepted, left: false, stopWanted: false };
}

export function wasStored({ parentId, content }: Unsure, list: readonly Message[]): boolean {
  return list.some(
    (message) =>
      message.role === "user" && message.parent_id === parentId && message.content === content,
  );
}
