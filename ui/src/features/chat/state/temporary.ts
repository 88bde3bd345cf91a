import { send } from "@/api/client";
import type { ReplyStart } from "@/api/endpoints";
import type { ReplyTransport } from "@/api/reply-transport";
import { getProfile, settingsOf, unsetSettings } from "@/api/settings";
import { readEvents } from "@/api/stream";
import type { Message, Profile, Settings, TurnEvent } from "@/api/types";
import { branchTo } from "@/features/chat/state/branch";
import type { ChatState } from "@/features/chat/state/chat-state";
import { codePointLength } from "@/lib/code-points";

/** The session id of a temporary chat, which the server does not know. */
export const temporaryId = "temporary";

const silenceMs = 60_000;
let ids = 0;

/** A piece of the answer to a request without a session. */
interface Chunk {
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null };
    finish_reason?: string | null;
  }[];
  error?: { message: string; code?: string };
}

function made(role: "user" | "assistant", parentId: string | null, model: string | null): Message {
  ids += 1;
  return {
    id: `${temporaryId}-${ids}`,
    session_id: temporaryId,
    parent_id: parentId,
    role,
    content: "",
    reasoning: "",
    status: role === "user" ? "complete" : "streaming",
    finish_reason: null,
    model,
    created_at: Date.now(),
    usage: null,
    error: null,
  };
}

/**
 * The replies of a temporary chat. Its messages are in this page alone: with each request the server gets
 * all of them, and stores none.
 */
export class TemporaryReplies {
  private readonly get: () => ChatState;
  private readonly own: () => Settings | null;
  private stopper = new AbortController();

  /** `own`: the settings of a new chat. */
  constructor(get: () => ChatState, own: () => Settings | null) {
    this.get = get;
    this.own = own;
  }

  /** Ends the reply in progress; its text is kept. */
  stop() {
    this.stopper.abort();
  }

  readonly transport: ReplyTransport = ({ start }, signal) => this.reply(start, signal);

  private async *reply(
    start: ReplyStart | null,
    signal: AbortSignal,
  ): AsyncGenerator<TurnEvent, void, undefined> {
    if (start === null) throw new Error("A temporary reply can't be followed again.");
    this.stopper = new AbortController();
    const stopped = this.stopper.signal;
    const profile = await getProfile(signal);
    const settings = over(profile, this.own());
    const turn = this.turn(start, settings.model);
    const response = await send("/v1/chat/completions", {
      method: "POST",
      body: { ...sampling(settings), messages: this.prompt(turn, settings), stream: true },
      signal: AbortSignal.any([signal, stopped]),
    });
    yield { type: "turn", ...turn, dropped_messages: 0 };
    let { content, reasoning } = turn.reply;
    let offset = codePointLength(content) + codePointLength(reasoning);
    const ended = (change: Partial<Message>): Message => ({
      ...turn.reply,
      content,
      reasoning,
      ...change,
    });
    try {
      let finish = "";
      for await (const { data } of readEvents(response.body ?? new ReadableStream(), silenceMs)) {
        if (data === "[DONE]") break;
        const { choices = [], error } = JSON.parse(data) as Chunk;
        if (error) throw new Error(error.message);
        const [choice] = choices;
        const thought = choice?.delta?.reasoning_content ?? "";
        const text = choice?.delta?.content ?? "";
        finish = choice?.finish_reason ?? finish;
        if (thought !== "") {
          reasoning += thought;
          offset += codePointLength(thought);
          yield { type: "delta", offset, reasoning: thought };
        }
        if (text !== "") {
          content += text;
          offset += codePointLength(text);
          yield { type: "delta", offset, text };
        }
      }
      if (finish === "") throw new Error("The connection was lost.");
      const finish_reason = finish === "length" ? "length" : "stop";
      yield { type: "done", message: ended({ status: "complete", finish_reason }) };
    } catch (error) {
      signal.throwIfAborted();
      if (stopped.aborted) {
        const message = ended({ status: "stopped", finish_reason: "cancelled" });
        yield { type: "done", message };
        return;
      }
      const message = error instanceof Error ? error.message : String(error);
      const failure = { code: "unknown", message };
      yield {
        type: "error",
        error: { ...failure, type: "server_error", param: null },
        message: ended({ status: "failed", error: failure }),
      };
    }
  }

  private turn(start: ReplyStart, model: string | null): { user: Message; reply: Message } {
    const { messages } = this.get();
    if (start.kind === "turn") {
      const user = { ...made("user", start.parent_id, null), content: start.content };
      return { user, reply: made("assistant", user.id, model) };
    }
    const old = messages[start.message_id];
    const user = messages[old?.parent_id ?? ""];
    if (!old || !user) throw new Error("This message is not there any more.");
    const reply = start.kind === "continue" ? old : made("assistant", user.id, model);
    return { user, reply: { ...reply, status: "streaming", error: null } };
  }

  private prompt({ user, reply }: { user: Message; reply: Message }, settings: Settings) {
    const before = branchTo(this.get().messages, user.parent_id);
    const system = settings.system_prompt
      ? [{ role: "system", content: settings.system_prompt }]
      : [];
    // A reply that has a text already is continued.
    const history = [...before, user, reply].filter(({ content }) => content !== "");
    return [...system, ...history.map(({ role, content }) => ({ role, content }))];
  }
}

/** The settings of a chat where it has any, else those of everybody. */
function over(profile: Profile, own: Settings | null): Settings {
  const shared = settingsOf(profile);
  const names = Object.keys(unsetSettings) as (keyof Settings)[];
  const found = Object.fromEntries(names.map((name) => [name, own?.[name] ?? shared[name]]));
  return { ...(found as unknown as Settings), model: own?.model ?? profile.model ?? profile.defaults.model };
}

/** Settings as a request without a session has them. */
function sampling(settings: Settings): Record<string, unknown> {
  const given = Object.entries(settings).filter(
    ([name, value]) => value !== null && name !== "system_prompt",
  );
  return Object.fromEntries(given);
}
