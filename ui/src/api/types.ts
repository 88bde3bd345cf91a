/** What the server says, as its HTTP contract has it. Times are Unix milliseconds. */

export interface Session {
  id: string;
  title: string;
  created_at: number;
  updated_at: number;
  /** The newest message of the branch that is shown. */
  leaf_id: string | null;
  /** The reply being written now. */
  live_message_id: string | null;
}

export type MessageStatus = "complete" | "streaming" | "stopped" | "interrupted" | "failed";

export interface Usage {
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  dropped_messages: number;
  queued_seconds: number;
  prefill_seconds: number;
  decode_seconds: number;
  seed: number;
}

export interface Message {
  id: string;
  session_id: string;
  parent_id: string | null;
  role: "user" | "assistant" | "system";
  content: string;
  status: MessageStatus;
  finish_reason: "stop" | "length" | "cancelled" | null;
  model: string | null;
  created_at: number;
  usage: Usage | null;
  error: { code: string; message: string } | null;
}

export interface ModelStatus {
  id: string;
  name: string;
  state: "loading" | "ready" | "failed" | "unloaded";
  /** 0 to 1. */
  progress: number;
  detail: string | null;
  n_ctx: number | null;
  device: string | null;
}

export interface ServerStatus {
  version: string;
  uptime_seconds: number;
  models: ModelStatus[];
}

export interface ErrorBody {
  message: string;
  type: string;
  param: string | null;
  code: string;
}

export interface Prefill {
  done: number;
  total: number;
  cached_tokens: number;
}

/** One event of a turn or of a reply that is followed again. */
export type TurnEvent =
  | { type: "turn"; user: Message; reply: Message; dropped_messages: number }
  | ({ type: "prefill" } & Prefill)
  /** `offset`: Unicode code points of the reply after this text. */
  | { type: "delta"; offset: number; text: string }
  | { type: "done"; message: Message }
  | { type: "error"; error: ErrorBody; message: Message };
