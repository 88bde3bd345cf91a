import type { ReplyTransport } from "@/api/reply-transport";
import type { Attachment, Message, Prefill, Session, Settings } from "@/api/types";
import type { AttachedActions, AttachedState } from "@/features/chat/attachments/attached";
import type { MessageTable } from "@/features/chat/state/branch";
import type { Notice } from "@/features/chat/state/notice";

/** The reply being generated. */
export interface LiveReply {
  id: string;
  text: string;
  reasoning: string;
  prefill: Prefill | null;
  /** Its position in the queue, 1 being the next; null: no longer queued. */
  queuePosition: number | null;
  tokensPerSecond: number | null;
  /** False while the connection is being restored. */
  connected: boolean;
}

/** A request that the server has not accepted yet. */
export type Pending =
  | { kind: "turn"; content: string; attachments: readonly Attachment[] }
  | { kind: "regenerate" }
  /** Continues this reply. */
  | { kind: "continue"; replyId: string };

/** What a new chat will be. */
export interface NewChatKind {
  folderId: string | null;
  temporary: boolean;
}

export interface ChatState extends AttachedState, AttachedActions {
  /** null: a new chat, whose session is created with its first message. */
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
  /** The message that is being edited. */
  editingId: string | null;
  /** The session's: another one after messages were removed or restored. */
  revision: number;
  /** The message that the address names. */
  targetId: string | null;
  /** The folder that the new chat will be in. */
  folderId: string | null;
  /** It is in this page alone, and never stored. */
  temporary: boolean;
  /** By session id; "" for the new chat. */
  drafts: Readonly<Record<string, string>>;

  /** Shows a session, at a message if one is given, or a new chat. Does not stop the reply in progress. */
  open: (sessionId: string | null, targetId?: string | null, kind?: NewChatKind) => void;
  /** Forgets the temporary chat, for another one. */
  forgetTemporary: () => void;
  /** Loads the session again, as it may have changed while the connection was lost. */
  reload: () => void;
  /** Takes the open session from the server's list: follows a reply that another window has started. */
  syncSession: (session: Session) => void;
  send: (content: string) => Promise<void>;
  /** Shows the editor of a message; null closes it. */
  startEdit: (messageId: string | null) => void;
  /** Sends another version of a message, or stores one of a reply; the old one is kept. */
  sendEdit: (messageId: string, content: string) => Promise<void>;
  /** Requests another version of this reply, from another model if one is named. */
  regenerate: (replyId: string, model?: string) => Promise<void>;
  /** Requests a reply to a message that has none. */
  answer: (messageId: string) => Promise<void>;
  /** Removes a message, or with `turn` its question and replies; returns how many are gone. */
  removeMessage: (messageId: string, turn: boolean) => Promise<number>;
  /** Undoes the removal of a message, also of a chat that is not open any more. */
  restoreMessage: (message: Message) => Promise<void>;
  /** Opens a new chat with a copy of the messages up to this one; `title`: from that of this chat. */
  branch: (messageId: string, title: (of: string) => string) => Promise<void>;
  /** Continues the last reply. */
  continueReply: (replyId: string) => Promise<void>;
  /** Shows another version of a message, with its newest branch. */
  showVersion: (messageId: string) => void;
  /** Puts the message before a failed reply back into the input. */
  takeBack: (replyId: string) => void;
  stop: () => Promise<void>;
  setDraft: (text: string) => void;
  dismissNotice: () => void;
}

export interface ChatStoreDeps {
  /** The transport of replies. */
  transport: ReplyTransport;
  /** The settings that a new chat begins with; null: none. */
  newChatSettings: () => Settings | null;
  /** The first message of a chat has created its session. */
  onSessionCreated: (session: Session) => void;
  /** The first message was refused: its session is deleted, and the chat is a new one again. */
  onSessionRefused?: (sessionId: string) => void;
  /** A new chat was made of messages of this one. */
  onBranch: (session: Session) => void;
  /** A turn began or ended, or messages changed. */
  onSessionChanged: () => void;
  /** A reply ended with an error, perhaps the model's. */
  onReplyFailed: () => void;
  onUnreachable: () => void;
  /** The key or the cookie of the socket is no longer valid. */
  onLockedOut: () => void;
}

export function draftKey(sessionId: string | null): string {
  return sessionId ?? "";
}

/** Whether a reply is pending or being generated. */
export function isBusy(state: ChatState): boolean {
  return state.live !== null || state.pending !== null;
}

/** Whether a file of the message that is being written is still on its way. */
export function isUploading({ attached, sessionId }: ChatState): boolean {
  return (attached[draftKey(sessionId)] ?? []).some(({ attachment }) => attachment === null);
}

/** Whether the message that is being written has files. */
export function hasFiles({ attached, sessionId }: ChatState): boolean {
  return (attached[draftKey(sessionId)] ?? []).length > 0;
}
