import type { Message } from "@/api/types";

/** The loading of a session, or the following of a reply. */
export interface Run {
  sessionId: string;
  abort: AbortController;
  /** Whether the server has the message: before that, the request must not be aborted. */
  accepted: boolean;
  /** The session was created for its first message. */
  created: boolean;
  left: boolean;
  stopRequested: boolean;
}

/** A send that failed, although the server may have stored its message. */
export interface UnconfirmedSend {
  sessionId: string;
  parentId: string | null;
  content: string;
}

export function newRun(sessionId: string, accepted: boolean): Run {
  return {
    sessionId,
    abort: new AbortController(),
    accepted,
    created: false,
    left: false,
    stopRequested: false,
  };
}

export function wasStored({ parentId, content }: UnconfirmedSend, list: readonly Message[]): boolean {
  return list.some(
    (message) =>
      message.role === "user" && message.parent_id === parentId && message.content === content,
  );
}
