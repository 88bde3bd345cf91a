import { vi } from "vitest";

import { settingsOf, unsetSettings } from "@/api/settings";
import type {
  DeviceStatus,
  Folder,
  Me,
  Message,
  ModelStatus,
  Preferences,
  Preset,
  SearchHit,
  ServerStatus,
  Session,
  Settings,
  Usage,
} from "@/api/types";
import { codePointLength } from "@/lib/code-points";

const encoder = new TextEncoder();

/** An event stream response, driven by the test. */
export class FakeStream {
  readonly response: Response;
  cancelled = false;
  private readonly control: ReadableStreamDefaultController<Uint8Array>;
  private offset: number;

  constructor(signal?: AbortSignal | null, from = 0) {
    const controls: ReadableStreamDefaultController<Uint8Array>[] = [];
    const body = new ReadableStream<Uint8Array>({
      start: (control) => {
        controls.push(control);
      },
      cancel: () => {
        this.cancelled = true;
      },
    });
    const [control] = controls;
    if (!control) throw new Error("ReadableStream did not start.");
    this.control = control;
    this.offset = from;
    this.response = new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    signal?.addEventListener("abort", () => {
      this.cancelled = true;
      this.break();
    });
  }

  raw(text: string) {
    this.control.enqueue(encoder.encode(text));
  }

  event(name: string, data: unknown) {
    this.raw(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }

  delta(text: string) {
    this.offset += codePointLength(text);
    this.event("delta", { offset: this.offset, text });
  }

  thought(reasoning: string) {
    this.offset += codePointLength(reasoning);
    this.event("delta", { offset: this.offset, reasoning });
  }

  end() {
    this.control.close();
  }

  /** The connection breaks. */
  break() {
    try {
      this.control.error(new TypeError("network error"));
    } catch {
      return;
    }
  }
}

export const usage: Usage = {
  prompt_tokens: 1100,
  cached_tokens: 1024,
  cached_from: "slot",
  completion_tokens: 50,
  dropped_messages: 0,
  queued_seconds: 0.1,
  prefill_seconds: 0.4,
  decode_seconds: 2,
  seed: 1,
  context_tokens: 1150,
  n_ctx: 4096,
};

export const readyModel: ModelStatus = {
  id: "tiny",
  name: "Tiny Instruct",
  state: "ready",
  progress: 1,
  detail: null,
  n_ctx: 4096,
  device: "CPU",
  variant: null,
  on: [],
  devices: ["cpu"],
  warning: null,
};

export function aGpu(changes: Partial<DeviceStatus> = {}): DeviceStatus {
  return {
    name: "Vulkan0",
    family: "vulkan",
    description: "Big GPU",
    driver: "Mesa 26.0",
    free: 6e9,
    total: 8e9,
    trust: "trusted",
    detail: "",
    ...changes,
  };
}

const builtIn: Settings = {
  ...unsetSettings,
  min_p: 0.05,
  mirostat: 0,
  model: "tiny",
  device: "auto",
  temperature: 0.8,
  top_p: 0.95,
  top_k: 40,
  max_tokens: 4096,
  repeat_penalty: 1,
  system_prompt: "",
  stop: [],
};

function titleOf(body: Record<string, unknown> | undefined): string {
  return typeof body?.title === "string" ? body.title : "";
}

interface Call {
  method: string;
  path: string;
  body: unknown;
}

type Answer = Response | FakeStream | Error;

function json(body: unknown, status = 200): Response {
  return new Response(status === 204 ? null : JSON.stringify(body), { status });
}

/** An in-memory server of the API. `install` replaces fetch by it. */
export class FakeApi {
  sessions: Session[] = [];
  messages: Message[] = [];
  profile = unsetSettings;
  presets: Preset[] = [];
  /** Who asks; null: the server does not say. */
  me: Me | null = null;
  preferences: Preferences = { theme: null, language: null, rail_hidden: null, text_size: null, text_width: null };
  folders: Folder[] = [];
  readonly drafts: Record<string, string> = {};
  hits: SearchHit[] = [];
  server: ServerStatus = { version: "1.0.0", uptime_seconds: 1, models: [readyModel] };
  down = false;
  readonly calls: Call[] = [];
  /** Open streams, newest last. */
  readonly streams: FakeStream[] = [];
  private readonly deleted: Session[] = [];
  private readonly answers = new Map<string, Answer[]>();
  private ids = 0;

  install(): this {
    vi.stubGlobal("fetch", (input: string, init?: RequestInit) => this.answer(input, init ?? {}));
    return this;
  }

  /** The next request to `METHOD path` is answered with this error. */
  next(call: string, answer: Answer) {
    this.answers.set(call, [...(this.answers.get(call) ?? []), answer]);
  }

  refuse(call: string, status: number, code: string, message: string) {
    const error = { message, type: "invalid_request_error", param: null, code };
    this.next(call, json({ error }, status));
  }

  get stream(): FakeStream {
    const newest = this.streams.at(-1);
    if (!newest) throw new Error("No stream was asked for.");
    return newest;
  }

  callsOf(call: string): Call[] {
    return this.calls.filter(({ method, path }) => `${method} ${path}` === call);
  }

  session(title: string, updatedAt = Date.now()): Session {
    this.ids += 1;
    const session: Session = {
      id: `s${this.ids}`,
      title,
      pinned: false,
      created_at: updatedAt,
      updated_at: updatedAt,
      leaf_id: null,
      live_message_id: null,
      settings: null,
    };
    this.sessions.unshift(session);
    return session;
  }

  /** A message below the session's leaf, which becomes the leaf. */
  message(session: Session, role: Message["role"], content: string, more: Partial<Message> = {}) {
    this.ids += 1;
    const message: Message = {
      id: `m${this.ids}`,
      session_id: session.id,
      parent_id: session.leaf_id,
      role,
      content,
      reasoning: "",
      status: "complete",
      finish_reason: role === "assistant" ? "stop" : null,
      model: role === "assistant" ? "tiny" : null,
      created_at: Date.now(),
      usage: null,
      error: null,
      ...more,
    };
    this.messages.push(message);
    session.leaf_id = message.id;
    return message;
  }

  /** A message and the reply in progress to it. */
  liveReply(session: Session, question: string, soFar: string): Message {
    this.message(session, "user", question);
    const reply = this.message(session, "assistant", soFar, {
      status: "streaming",
      finish_reason: null,
    });
    session.live_message_id = reply.id;
    return reply;
  }

  /** Ends the reply in progress, and returns the message that `done` carries. */
  settle(session: Session, content: string, more: Partial<Message> = {}): { message: Message } {
    const at = this.messages.findIndex(({ id }) => id === session.live_message_id);
    const old = this.messages[at];
    if (!old) throw new Error("No reply is in progress.");
    const message: Message = {
      ...old,
      content,
      status: "complete",
      finish_reason: "stop",
      usage,
      ...more,
    };
    this.messages[at] = message;
    session.live_message_id = null;
    return { message };
  }

  private async answer(address: string, { method = "GET", body, signal }: RequestInit) {
    // Pages of lists are given whole.
    const path = address.replace(/^(\/api\/(sessions|import|folders\/[^/]+)(\/[^/]+\/messages)?)\?.*/, "$1");
    await Promise.resolve();
    signal?.throwIfAborted();
    const parsed: unknown = typeof body === "string" ? JSON.parse(body) : undefined;
    this.calls.push({ method, path, body: parsed });
    if (this.down) throw new TypeError("Failed to fetch");
    const [prepared, ...rest] = this.answers.get(`${method} ${path}`) ?? [];
    if (prepared) {
      this.answers.set(`${method} ${path}`, rest);
      if (prepared instanceof Error) throw prepared;
      if (prepared instanceof Response) return prepared;
      this.streams.push(prepared);
      return prepared.response;
    }
    return this.usual(method, path, parsed as Record<string, unknown> | undefined, signal);
  }

  private usual(
    method: string,
    path: string,
    body: Record<string, unknown> | undefined,
    signal: AbortSignal | null | undefined,
  ): Response {
    if (path === "/api/status") return json(this.server);
    if (path === "/api/settings") {
      if (method === "PATCH") this.profile = { ...this.profile, ...body };
      return json({ ...this.profile, defaults: builtIn, limits: { max_response_tokens: 4096 } });
    }
    if (path.startsWith("/api/presets")) return this.ofPresets(method, path, body ?? {});
    if (this.me && (path === "/api/me" || path === "/api/login")) return json(this.me);
    if (path === "/api/models") return json({ models: [] });
    if (path === "/api/preferences") {
      if (method === "PATCH") this.preferences = { ...this.preferences, ...body };
      return json(this.preferences);
    }
    if (path.startsWith("/api/search")) return json({ hits: this.hits, more: false });
    if (path === "/v1/chat/completions") return this.open(new FakeStream(signal)).response;
    if (path === "/api/drafts") {
      const { session_id: id = "", text = "" } = body ?? {};
      if (method === "PUT") this.drafts[String(id)] = String(text);
      return method === "PUT" ? json(null, 204) : json({ drafts: this.drafts });
    }
    if (path.startsWith("/api/folders")) return this.ofFolders(method, path, body ?? {});
    if (path.startsWith("/api/deleted")) return this.ofDeleted(method, path);
    if (path === "/api/export") return json({ format: "appliance.chats", ...body });
    if (path === "/api/expiry") return json(null, 204);
    if (path === "/api/import") {
      const imported = [this.session("Imported")];
      return json({ imported, already_here: 0, skipped: [], failed: [] });
    }
    if (path === "/api/sessions") {
      if (method === "GET") {
        return json({ sessions: this.sessions, gone: [], revision: "r", whole: true, more: false });
      }
      const made = this.session(titleOf(body));
      if (body?.settings) made.settings = settingsOf(body.settings);
      if (typeof body?.folder_id === "string") made.folder_id = body.folder_id;
      return json(made, 201);
    }
    return this.ofSession(method, path, body ?? {}, signal);
  }

  private ofPresets(method: string, path: string, body: Record<string, unknown>): Response {
    const id = path.split("/")[3];
    if (method === "GET") return json({ presets: this.presets });
    if (method === "POST") {
      this.ids += 1;
      const name = String(body.name);
      if (this.presets.some((one) => one.name === name)) {
        const error = { message: `There is a preset '${name}' already.`, param: "name" };
        return json({ error: { ...error, type: "conflict", code: "conflict" } }, 409);
      }
      const settings = settingsOf(body.settings ?? {});
      const made: Preset = { id: `p${this.ids}`, name, settings, created_at: Date.now() };
      this.presets.push(made);
      return json(made, 201);
    }
    const preset = this.presets.find((one) => one.id === id);
    if (!preset) return this.notFound("not_found", "There is no such preset.");
    if (method === "PATCH") {
      Object.assign(preset, body);
      return json(preset);
    }
    this.presets = this.presets.filter((one) => one !== preset);
    return json(null, 204);
  }

  private ofFolders(method: string, path: string, body: Record<string, unknown>): Response {
    const id = path.split("/")[3];
    if (method === "GET") return json({ folders: this.folders });
    if (id === undefined) {
      this.ids += 1;
      const settings = body.settings ? { ...unsetSettings, ...body.settings } : null;
      const folder = { id: `f${this.ids}`, name: String(body.name), settings };
      this.folders.push(folder);
      return json(folder, 201);
    }
    const folder = this.folders.find((one) => one.id === id);
    if (!folder) return this.notFound("not_found", "There is no such folder.");
    if (method === "PATCH") return json(Object.assign(folder, body));
    this.folders = this.folders.filter((one) => one !== folder);
    for (const session of this.sessions) if (session.folder_id === id) session.folder_id = null;
    return json(null, 204);
  }

  private ofDeleted(method: string, path: string): Response {
    const id = path.split("/")[3];
    const gone = this.deleted.filter((one) => id === undefined || one.id === id);
    if (method === "DELETE") {
      for (const one of gone) this.deleted.splice(this.deleted.indexOf(one), 1);
      return json(null, 204);
    }
    const sessions = gone.map((one) => ({
      id: one.id,
      title: one.title,
      deleted_at: one.updated_at,
      expired: false,
    }));
    return json({ keep_seconds: 2_592_000, sessions, more: false });
  }

  private ofSession(
    method: string,
    path: string,
    body: Record<string, unknown>,
    signal: AbortSignal | null | undefined,
  ): Response {
    const [, id, rest] = /^\/api\/sessions\/([^/]+)(?:\/(.+))?$/.exec(path) ?? [];
    if (rest === "restore") {
      const back = this.deleted.find((one) => one.id === id);
      if (!back) return this.notFound("session_not_found", "No session has that id.");
      this.deleted.splice(this.deleted.indexOf(back), 1);
      this.sessions.unshift(back);
      return json(back);
    }
    const session = this.sessions.find((one) => one.id === id);
    if (!session) return this.notFound("session_not_found", "No session has that id.");
    if (rest === "messages") {
      return json({ messages: this.messages.filter(({ session_id }) => session_id === id) });
    }
    if (rest === "stop") return json(null, 204);
    if (rest === "export") return json({ format: "appliance.chat", version: 1, session });
    if (rest === "turns") return this.turn(session, body, signal);
    const [, messageId, what] = /^messages\/([^/]+)\/(regenerate|continue)$/.exec(rest ?? "") ?? [];
    if (messageId !== undefined) {
      return this.further(session, messageId, what === "continue", signal);
    }
    if (rest?.startsWith("live")) {
      if (session.live_message_id === null) return this.notFound("not_found", "No reply.");
      return this.open(new FakeStream(signal, Number(rest.split("=")[1] ?? 0))).response;
    }
    if (method === "PATCH") {
      const { settings, ...rest } = body;
      Object.assign(session, rest);
      if (settings) session.settings = settingsOf({ ...session.settings, ...settings });
    }
    if (method !== "DELETE") return json(session);
    this.sessions = this.sessions.filter((one) => one !== session);
    this.deleted.push(session);
    return json(null, 204);
  }

  private turn(
    session: Session,
    body: Record<string, unknown>,
    signal: AbortSignal | null | undefined,
  ): Response {
    session.leaf_id = body.parent_id as string | null;
    const user = this.message(session, "user", String(body.content));
    return this.reply(session, user, signal);
  }

  /** Another reply beside one, or the rest of it. */
  private further(
    session: Session,
    replyId: string,
    goesOn: boolean,
    signal: AbortSignal | null | undefined,
  ): Response {
    const old = this.messages.find(({ id }) => id === replyId);
    const user = this.messages.find(({ id }) => id === old?.parent_id);
    if (!old || !user) return this.notFound("message_not_found", "No message has that id.");
    if (goesOn) {
      Object.assign(old, { status: "streaming", finish_reason: null });
      session.live_message_id = old.id;
      const stream = this.open(new FakeStream(signal, codePointLength(old.content)));
      stream.event("turn", { user, reply: old, dropped_messages: 0 });
      return stream.response;
    }
    session.leaf_id = user.id;
    return this.reply(session, user, signal);
  }

  private reply(
    session: Session,
    user: Message,
    signal: AbortSignal | null | undefined,
  ): Response {
    const reply = this.message(session, "assistant", "", {
      status: "streaming",
      finish_reason: null,
    });
    session.live_message_id = reply.id;
    const stream = this.open(new FakeStream(signal));
    stream.event("turn", { user, reply, dropped_messages: 0 });
    return stream.response;
  }

  private open(stream: FakeStream): FakeStream {
    this.streams.push(stream);
    return stream;
  }

  private notFound(code: string, message: string): Response {
    return json({ error: { message, type: "not_found_error", param: null, code } }, 404);
  }
}
