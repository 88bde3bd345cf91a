import type { ReplyWay } from "@/api/reply-way";
import type { Prefill, Session } from "@/api/types";
import type { MessageTable } from "@/features/chat/branch";
import type { Notice } from "@/features/chat/notice";

/** The reply being written. */
export interface LiveReply {
  id: string;
  text: string;
  reasoning: string;
  prefill: Prefill | null;
  /** Its place in line, 1 being the next; null: it is past that. */
  place: number | null;
  tokensPerSecond: number | null;
  /** False while the socket is lost and sought again. */
  linked: boolean;
}

/** What was asked for, and is not taken by the server yet. */
export type Pending =
  | { kind: "turn"; content: string }
  | { kind: "regenerate" }
  /** Goes on with this reply. */
  | { kind: "continue"; replyId: string };

export interface ChatState {
  /** null: a new chat, which gets its session with its first message. */
  sessionId: string | null;
  phase: "ready" | "loading" | "missing" | "failed";
  messages: MessageTable;
  /** The last message of the branch shown. */
  leafId: string | null;
  pending: Pending | null;
  live: LiveReply | null;
  /** Stop was pressed and the reply has not ended yet. */
  stopping: boolean;
  notice: Notice | null;
  /** The person's message that is being edited. */
  editingId: string | null;
  /** The message that the page was asked to show. */
  targetId: string | null;
  /** By session id; "" for the new chat. */
  drafts: Readonly<Record<string, string>>;

  /** Shows a session, at a message if one is given, or a new chat. Leaving a reply does not stop it. */
  open: (sessionId: string | null, targetId?: string | null) => void;
  /** Reads the session again where it may have changed unseen, as after a lost connection. */
  reload: () => void;
  /** The server's list has the open session so: a reply that another window asked for is followed. */
  hearOf: (session: Session) => void;
  send: (content: string) => Promise<void>;
  /** Shows the input for another version of a message; null puts it away. */
  startEdit: (messageId: string | null) => void;
  /** Sends another version of a message; the old one stays beside it. */
  sendEdit: (messageId: string, content: string) => Promise<void>;
  /** Another reply beside this one. */
  regenerate: (replyId: string) => Promise<void>;
  /** Goes on with a reply that was stopped, interrupted or cut at its limit. */
  continueReply: (replyId: string) => Promise<void>;
  /** Shows another version of a message, and what followed it last. */
  showVersion: (messageId: string) => void;
  /** Puts the message that a failed reply was to answer back into the input. */
  takeBack: (replyId: string) => void;
  stop: () => Promise<void>;
  setDraft: (text: string) => void;
  dismissNotice: () => void;
}

export interface ChatStoreDeps {
  /** How replies come here. */
  way: ReplyWay;
  /** A first message made this session. */
  onSessionCreated: (session: Session) => void;
  /** A turn began or ended. */
  onSessionChanged: () => void;
  onUnreachable: () => void;
  /** The server does not know this page any more: its key is gone, or its cookie. */
  onLockedOut: () => void;
}

export function draftKey(sessionId: string | null): string {
  return sessionId ?? "";
}

/** Whether a reply is awaited or being written. */
export function isBusy(state: ChatState): boolean {
  return state.live !== null || state.pending !== null;
}
