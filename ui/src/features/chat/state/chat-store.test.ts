import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { overHttp } from "@/api/reply-transport";
import { branchTo } from "@/features/chat/state/branch";
import { createChatStore, type ChatStore } from "@/features/chat/state/chat-store";
import { FakeApi } from "@/testing/fake-api";

let api: FakeApi;
let chat: ChatStore;
const deps = {
  transport: overHttp,
  onSessionCreated: vi.fn(),
  onBranch: vi.fn(),
  onSessionChanged: vi.fn(),
  newChatSettings: () => null,
  onReplyFailed: () => undefined,
  onUnreachable: vi.fn(),
  onLockedOut: vi.fn(),
};

const state = () => chat.getState();
const settle = (ms = 50) => vi.advanceTimersByTimeAsync(ms);
const shown = () =>
  branchTo(state().messages, state().leafId).map(({ role, content }) => `${role}: ${content}`);

beforeEach(() => {
  vi.useFakeTimers();
  vi.clearAllMocks();
  api = new FakeApi().install();
  chat = createChatStore(deps);
});

afterEach(() => {
  state().open(null);
  vi.useRealTimers();
});

/** A session with one answered question, opened. */
async function opened() {
  const session = api.session("A chat");
  api.message(session, "user", "Hi");
  api.message(session, "assistant", "Hello");
  state().open(session.id);
  await settle();
  return session;
}

describe("sending", () => {
  it("makes a session named after the first message, and streams the reply", async () => {
    void state().send("Why is the sky blue?\nReally?");
    expect(state().pending).toEqual({
      kind: "turn",
      content: "Why is the sky blue?\nReally?",
      attachments: [],
    });
    await settle();
    const [session] = api.sessions;
    expect(deps.onSessionCreated).toHaveBeenCalledWith(expect.objectContaining({ id: session?.id }));
    expect(session?.title).toBe("Why is the sky blue?");
    expect(state().pending).toBeNull();
    api.stream.event("prefill", { done: 5, total: 10, cached_tokens: 0 });
    await settle();
    expect(state().live?.prefill).toMatchObject({ done: 5, total: 10 });
    api.stream.delta("Because ");
    api.stream.delta("of air.");
    await settle();
    expect(state().live?.text).toBe("Because of air.");
    if (!session) throw new Error("no session");
    api.stream.event("done", api.settle(session, "Because of air."));
    await settle();
    expect(state().live).toBeNull();
    expect(shown()).toEqual([
      "user: Why is the sky blue?\nReally?",
      "assistant: Because of air.",
    ]);
  });

  it("answers the message that is shown last", async () => {
    const session = await opened();
    void state().send("And then?");
    await settle();
    const [call] = api.callsOf(`POST /api/sessions/${session.id}/turns`);
    expect(call?.body).toEqual({ content: "And then?", parent_id: "m3" });
  });

  it("sends nothing while a reply is written, and nothing empty", async () => {
    await opened();
    void state().send("One");
    await settle();
    void state().send("Two");
    void state().send("  ");
    await settle();
    expect(api.calls.filter(({ path }) => path.endsWith("/turns"))).toHaveLength(1);
  });

  it("gives the text back with the reason when the server refuses it", async () => {
    const session = await opened();
    api.refuse(
      `POST /api/sessions/${session.id}/turns`,
      400,
      "context_length_exceeded",
      "5,212 tokens, and 4,096 fit.",
    );
    state().setDraft("Long text");
    void state().send("Long text");
    expect(state().drafts[session.id]).toBe("");
    await settle();
    expect(state().drafts[session.id]).toBe("Long text");
    expect(state().notice).toMatchObject({
      code: "context_length_exceeded",
      message: "5,212 tokens, and 4,096 fit.",
    });
    expect(shown()).toEqual(["user: Hi", "assistant: Hello"]);
    expect(state().pending).toBeNull();
  });

  it("keeps what was typed meanwhile behind the text that comes back", async () => {
    const session = await opened();
    api.down = true;
    void state().send("First");
    state().setDraft("Second");
    await settle();
    expect(state().drafts[session.id]).toBe("First\n\nSecond");
    expect(deps.onUnreachable).toHaveBeenCalled();
  });

  it("does not double a message that the server had stored after all", async () => {
    const session = await opened();
    api.next(`POST /api/sessions/${session.id}/turns`, new TypeError("lost"));
    void state().send("Did it arrive?");
    await settle();
    expect(state().drafts[session.id]).toBe("Did it arrive?");
    api.message(session, "user", "Did it arrive?");
    api.message(session, "assistant", "It did.");
    state().reload();
    await settle();
    expect(state().drafts[session.id]).toBe("");
    expect(state().notice).toBeNull();
    expect(shown().slice(2)).toEqual(["user: Did it arrive?", "assistant: It did."]);
  });

  it("moves the text to the new chat when the session is gone", async () => {
    const session = await opened();
    api.sessions = [];
    void state().send("Anybody?");
    await settle();
    expect(state().phase).toBe("missing");
    expect(state().drafts[""]).toBe("Anybody?");
    expect(session.id).toBe(state().sessionId);
  });

  it("joins the reply that another window asked for", async () => {
    const session = await opened();
    api.refuse(`POST /api/sessions/${session.id}/turns`, 409, "reply_in_progress", "Busy.");
    void state().send("Mine");
    api.liveReply(session, "Theirs", "So ");
    await settle();
    expect(state().live?.text).toBe("So ");
    expect(state().drafts[session.id]).toBe("Mine");
  });
});

describe("a reply under way", () => {
  it("goes on after a reload, from where the stored text ends", async () => {
    const session = api.session("A chat");
    api.liveReply(session, "Count", "one 🦙 ");
    state().open(session.id);
    await settle();
    expect(api.calls.at(-1)?.path).toBe(`/api/sessions/${session.id}/live?from=6`);
    api.stream.delta("two");
    await settle();
    expect(state().live?.text).toBe("one 🦙 two");
    api.stream.event("done", api.settle(session, "one 🦙 two"));
    await settle();
    expect(shown()).toEqual(["user: Count", "assistant: one 🦙 two"]);
  });

  it("loses and doubles nothing when the socket drops", async () => {
    const session = await opened();
    void state().send("Count");
    await settle();
    api.stream.delta("one ");
    await settle();
    api.stream.break();
    await settle();
    expect(state().live?.connected).toBe(false);
    await settle(10_000);
    api.stream.delta("two");
    await settle();
    expect(state().live).toMatchObject({ text: "one two", connected: true });
    api.stream.event("done", api.settle(session, "one two"));
    await settle();
    expect(shown().at(-1)).toBe("assistant: one two");
  });

  it("is read from the session when it ended out of sight", async () => {
    const session = await opened();
    void state().send("Count");
    await settle();
    api.settle(session, "one", { status: "interrupted" });
    api.stream.break();
    await settle(10_000);
    expect(state().live).toBeNull();
    expect(shown().at(-1)).toBe("assistant: one");
    expect(Object.values(state().messages).at(-1)?.status).toBe("interrupted");
  });

  it("writes nothing into the chat that is opened meanwhile, and is not stopped", async () => {
    await opened();
    const other = api.session("Other");
    api.message(other, "user", "Elsewhere");
    void state().send("Count");
    await settle();
    const { stream } = api;
    stream.delta("one ");
    state().open(other.id);
    await settle();
    expect(stream.cancelled).toBe(true);
    expect(state().live).toBeNull();
    expect(shown()).toEqual(["user: Elsewhere"]);
    expect(api.calls.filter(({ path }) => path.endsWith("/stop"))).toHaveLength(0);
  });

  it("is stopped on the server, and keeps its text", async () => {
    const session = await opened();
    void state().send("Count");
    await settle();
    api.stream.delta("one");
    void state().stop();
    await settle();
    expect(state().stopping).toBe(true);
    expect(api.callsOf(`POST /api/sessions/${session.id}/stop`)).toHaveLength(1);
    api.stream.event("done", api.settle(session, "one", { status: "stopped" }));
    await settle();
    expect(state().stopping).toBe(false);
    expect(shown().at(-1)).toBe("assistant: one");
  });

  it("keeps its text when it fails", async () => {
    const session = await opened();
    void state().send("Count");
    await settle();
    api.stream.delta("one");
    const error = { code: "worker_died", message: "The model died." };
    const { message } = api.settle(session, "one", { status: "failed", error });
    api.stream.event("error", { error, message });
    await settle();
    expect(state().live).toBeNull();
    expect(state().messages[message.id]).toMatchObject({ status: "failed", content: "one" });
  });
});

describe("a failed reply", () => {
  async function failed() {
    const session = await opened();
    const question = api.message(session, "user", "Again?");
    const error = { code: "worker_died", message: "The model died." };
    const reply = api.message(session, "assistant", "", { status: "failed", error });
    state().reload();
    await settle();
    return { session, question, reply };
  }

  it("is asked again in its place", async () => {
    const { session, reply } = await failed();
    void state().regenerate(reply.id);
    await settle();
    const path = `/api/sessions/${session.id}/messages/${reply.id}/regenerate`;
    expect(api.callsOf(`POST ${path}`)).toHaveLength(1);
    expect(shown()).toEqual(["user: Hi", "assistant: Hello", "user: Again?", "assistant: "]);
  });

  it("stays in sight when asking again fails too", async () => {
    const { reply } = await failed();
    api.down = true;
    void state().regenerate(reply.id);
    await settle();
    expect(state().leafId).toBe(reply.id);
    expect(state().notice?.code).toBe("unreachable");
  });

  it("gives its question back for editing", async () => {
    const { session, question, reply } = await failed();
    state().takeBack(reply.id);
    expect(state().drafts[session.id]).toBe("Again?");
    expect(state().leafId).toBe(question.parent_id);
  });
});

describe("opening", () => {
  it("knows a session that is not there", async () => {
    state().open("nobody");
    await settle();
    expect(state().phase).toBe("missing");
  });

  it("reads the chat when the server comes back", async () => {
    const session = api.session("A chat");
    api.message(session, "user", "Hi");
    api.down = true;
    state().open(session.id);
    await settle();
    expect(state().phase).toBe("failed");
    api.down = false;
    state().reload();
    await settle();
    expect(shown()).toEqual(["user: Hi"]);
  });

  it("shows the branch of the leaf, not every node", async () => {
    const session = api.session("A chat");
    const first = api.message(session, "user", "Hi");
    api.message(session, "assistant", "One");
    api.message(session, "assistant", "Two", { parent_id: first.id });
    state().open(session.id);
    await settle();
    expect(shown()).toEqual(["user: Hi", "assistant: Two"]);
  });

  it("keeps a draft for each chat", async () => {
    state().setDraft("new");
    const session = await opened();
    state().setDraft("old");
    state().open(null);
    expect(state().drafts).toMatchObject({ "": "new", [session.id]: "old" });
  });
});
