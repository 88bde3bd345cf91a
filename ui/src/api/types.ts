/** What the server says, as its HTTP contract has it. Times are Unix milliseconds. */

export interface Session {
  id: string;
  title: string;
  pinned: boolean;
  created_at: number;
  updated_at: number;
  /** The newest message of the branch that is shown. */
  leaf_id: string | null;
  /** The reply being written now. */
  live_message_id: string | null;
  /** What this chat sets apart from the default profile. */
  settings: Settings | null;
}

/** How replies are made; a null field follows the profile behind it. */
export interface Settings {
  model: string | null;
  device: string | null;
  temperature: number | null;
  top_p: number | null;
  top_k: number | null;
  max_tokens: number | null;
  repeat_penalty: number | null;
  system_prompt: string | null;
  stop: string[] | null;
}

/** The default profile with what stands behind it. */
export interface Profile extends Settings {
  defaults: Settings;
  limits: { max_response_tokens: number };
}

/** A chat's message that a search found; `snippet` is cut into found and other text. */
export interface SearchHit {
  session_id: string;
  session_title: string;
  /** null: the title itself has the words. */
  message_id: string | null;
  role: "user" | "assistant" | "system" | null;
  created_at: number;
  snippet: { text: string; hit: boolean }[];
}

export type MessageStatus = "complete" | "streaming" | "stopped" | "interrupted" | "failed";

export interface Usage {
  prompt_tokens: number;
  cached_tokens: number;
  /** Where those were, that did not have to be read again. */
  cached_from: CachedFrom | null;
  completion_tokens: number;
  dropped_messages: number;
  queued_seconds: number;
  prefill_seconds: number;
  decode_seconds: number;
  seed: number;
  /** Of the context, those in use when the reply ended. */
  context_tokens: number;
  /** Tokens that the context holds; null: a server elsewhere ran the model and did not say. */
  n_ctx: number | null;
}

export type CachedFrom = "slot" | "shared" | "memory" | "disk";

export interface Message {
  id: string;
  session_id: string;
  parent_id: string | null;
  role: "user" | "assistant" | "system";
  content: string;
  /** What the model thought before it answered, apart from the answer. */
  reasoning: string;
  status: MessageStatus;
  finish_reason: "stop" | "length" | "tool_calls" | "cancelled" | null;
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
  /** What is not as it was configured, such as a device that was not to be had. */
  warning: string | null;
}

export interface ServerStatus {
  version: string;
  uptime_seconds: number;
  models: ModelStatus[];
  figures?: Figures;
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
  /** The place in line; 1 is the next. */
  | { type: "queued"; place: number }
  | ({ type: "prefill" } & Prefill)
  /** `offset`: Unicode code points of reasoning and text together after this piece. */
  | { type: "delta"; offset: number; text?: string; reasoning?: string }
  | { type: "done"; message: Message }
  | { type: "error"; error: ErrorBody; message: Message };

/** A model on this machine, or one that is configured and not here. */
export interface LocalModel {
  id: string;
  name: string;
  path: string | null;
  /** The program that keeps the file. */
  owner: string;
  repo: string;
  architecture: string;
  quantization: string;
  licence: string;
  /** Bytes of its files. */
  size: number;
  /** Tokens that it was trained with; 0: unknown. */
  context_length: number;
  /** What it would take, loaded, by estimate. */
  memory_bytes: number;
  fits: "fits" | "partly" | "too_big" | null;
  downloaded: boolean;
  default: boolean;
  status: "unloaded" | "loading" | "ready" | "failed";
  /** 0 to 1. */
  progress: number;
  /** Why it is not ready. */
  detail: string | null;
  n_ctx: number | null;
  device: string | null;
  warning: string | null;
}

export type Scope = "chat" | "manage" | "admin";

/** Who this page is to the server. */
export interface Me {
  name: string;
  /** null: nobody in particular, who may see nothing. */
  scope: Scope | null;
  /** Everybody shows a key. */
  auth: boolean;
}

export interface ApiKey {
  id: string;
  name: string;
  prefix: string;
  scope: Scope;
  /** Requests a minute; null: what the configuration says. */
  rpm: number | null;
  created_at: number;
  expires_at: number | null;
  last_used_at: number | null;
  source: "vault" | "config";
  enabled: boolean;
}

/** Figures of the whole appliance. */
export interface Figures {
  /** Of the replies written lately; null: none was. */
  tokens_per_second: number | null;
  time_to_first_token_ms: number | null;
  requests_running: number;
  requests_waiting: number;
  tokens_prefilled: number;
  tokens_saved: number;
  kv_bytes: number;
  worker_restarts: number;
  /** Bytes. */
  memory: { total: number; available: number; appliance: number; workers: number };
  uptime_seconds: number;
  version: string;
}
