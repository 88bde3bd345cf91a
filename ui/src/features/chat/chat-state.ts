import type { Prefill, Session } from "@/api/types";
import type { MessageTable } from "@/features/chat/branch";
import type { Notice } from "@/features/chat/notice";

/** The reply being written. */
export interface LiveReply {
  id: string;
  text: string;
  prefill: Prefill | null;
  /** False while the socket is lost and sought again. */
  linked: boolean;
}

export interface ChatState {
  /** null: a new chat, which gets its session with its first message. */
  sessionId: string | null;
  phase: "ready" | "loading" | "missing" | "failed";
  messages: MessageTable;
  /** The last message of the branch shown. */
  leafId: string | null;
  /** Sent, and not taken by the server yet. */
  pending: string | null;
  live: LiveReply | null;
  /** Stop was pressed and the reply has not ended yet. */
  stopping: boolean;
  notice: Notice | null;
  /** By session id; "" for the new chat. */
  drafts: Readonly<Record<string, string>>;

  /** Shows a session, or a new chat. Leaving a reply does not stop it. */
  open: (sessionId: string | null) => void;
  /** Reads the session again where it may have changed unseen, as after a lost connection. */
  reload: () => void;
  send: (content: string) => Promise<void>;
  /** Asks again what a failed reply was to answer; the new pair takes the place of the old. */
  retry: (replyId: string) => Promise<void>;
  /** Puts the message that a failed reply was to answer back into the input. */
  edit: (replyId: string) => void;
  stop: () => Promise<void>;
  setDraft: (text: string) => void;
  dismissNotice: () => void;
}

export interface ChatStoreDeps {
  /** A first message made this session. */
  onSessionCreated: (session: Session) => void;
  /** A turn began or ended. */
  onSessionChanged: () => void;
  onUnreachable: () => void;
}

export function draftKey(sessionId: string | null): string {
  return sessionId ?? "";
}

/** Whether a reply is awaited or being written. */
export function isBusy(state: ChatState): boolean {
  return state.live !== null || state.pending !== null;
}
