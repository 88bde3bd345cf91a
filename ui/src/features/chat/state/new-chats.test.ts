import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { overHttp } from "@/api/reply-transport";
import { branchTo } from "@/features/chat/state/branch";
import { createChatStore, type ChatStore } from "@/features/chat/state/chat-store";
import { keepDrafts } from "@/features/chat/state/draft-keeper";
import { FakeApi } from "@/testing/fake-api";

let api: FakeApi;
let chat: ChatStore;
const onSessionRefused = vi.fn();

const state = () => chat.getState();
const settle = (ms = 50) => vi.advanceTimersByTimeAsync(ms);
const shown = () =>
  branchTo(state().messages, state().leafId).map(({ role, content }) => `${role}: ${content}`);
const temporary = { folderId: null, temporary: true };

function aStore(): ChatStore {
  return createChatStore({
    transport: overHttp,
    onSessionCreated: () => undefined,
    onBranch: () => undefined,
    newChatSettings: () => null,
    onReplyFailed: () => undefined,
    onSessionRefused,
    onSessionChanged: () => undefined,
    onUnreachable: () => undefined,
    onLockedOut: () => undefined,
  });
}

/** A piece of an answer without a session. */
function piece(delta: object, finish_reason: string | null = null) {
  api.stream.raw(`data: ${JSON.stringify({ choices: [{ delta, finish_reason }] })}\n\n`);
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.clearAllMocks();
  api = new FakeApi().install();
  chat = aStore();
});

afterEach(() => {
  state().open(null);
  vi.useRealTimers();
});

describe("a first message that is refused", () => {
  it("leaves no chat behind, and is in the input again", async () => {
    api.refuse("POST /api/sessions/s1/turns", 400, "invalid_request", "It is too long.");
    void state().send("Far too long");
    await settle();
    expect(api.sessions).toEqual([]);
    expect(api.callsOf("DELETE /api/deleted/s1")).toHaveLength(1);
    expect(state()).toMatchObject({ sessionId: null, drafts: { "": "Far too long" } });
    expect(state().notice?.message).toBe("It is too long.");
    expect(onSessionRefused).toHaveBeenCalledWith("s1");
    void state().send("Shorter");
    await settle();
    expect(api.sessions).toHaveLength(1);
  });

  it("keeps a chat that has messages", async () => {
    const session = api.session("A chat");
    api.message(session, "user", "Hi");
    state().open(session.id);
    await settle();
    api.refuse(`POST /api/sessions/${session.id}/turns`, 400, "invalid_request", "No.");
    void state().send("More");
    await settle();
    expect(api.sessions).toHaveLength(1);
    expect(state().sessionId).toBe(session.id);
  });
});

describe("a temporary chat", () => {
  async function asked(question: string) {
    state().open(null, null, temporary);
    void state().send(question);
    await settle();
  }

  it("gives the server all messages each time, and creates nothing", async () => {
    api.profile = { ...api.profile, system_prompt: "Be brief.", temperature: 0.2 };
    await asked("One?");
    piece({ reasoning_content: "Hm." });
    piece({ content: "First " });
    piece({ content: "answer." }, "stop");
    api.stream.raw("data: [DONE]\n\n");
    await settle();
    expect(shown()).toEqual(["user: One?", "assistant: First answer."]);
    expect(Object.values(state().messages).at(-1)).toMatchObject({
      status: "complete",
      reasoning: "Hm.",
    });
    void state().send("Two?");
    await settle();
    const [, second] = api.callsOf("POST /v1/chat/completions");
    expect(second?.body).toMatchObject({
      temperature: 0.2,
      stream: true,
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "One?" },
        { role: "assistant", content: "First answer." },
        { role: "user", content: "Two?" },
      ],
    });
    expect(api.sessions).toEqual([]);
    expect(api.calls.filter(({ path }) => path.startsWith("/api/sessions"))).toEqual([]);
  });

  it("is stopped, continued, and answered once more", async () => {
    await asked("One?");
    piece({ content: "Half an" });
    await settle();
    void state().stop();
    await settle();
    const stopped = Object.values(state().messages).at(-1);
    expect(stopped).toMatchObject({ status: "stopped", content: "Half an" });
    void state().continueReply(stopped?.id ?? "");
    await settle();
    expect(api.callsOf("POST /v1/chat/completions")[1]?.body).toMatchObject({
      messages: [
        { role: "user", content: "One?" },
        { role: "assistant", content: "Half an" },
      ],
    });
    piece({ content: " answer." }, "stop");
    api.stream.end();
    await settle();
    expect(shown()).toEqual(["user: One?", "assistant: Half an answer."]);
    void state().regenerate(stopped?.id ?? "");
    await settle();
    piece({ content: "Another." }, "stop");
    api.stream.end();
    await settle();
    expect(shown()).toEqual(["user: One?", "assistant: Another."]);
  });

  it("keeps what it has when the connection breaks, or another chat is opened", async () => {
    await asked("One?");
    piece({ content: "Half an" });
    await settle();
    api.stream.break();
    await settle();
    expect(Object.values(state().messages).at(-1)).toMatchObject({
      status: "failed",
      content: "Half an",
    });
    state().open(null);
    expect(shown()).toEqual([]);
    state().open(null, null, temporary);
    expect(shown()).toEqual(["user: One?", "assistant: Half an"]);
    state().forgetTemporary();
    expect(shown()).toEqual([]);
  });

  it("puts a refused message back", async () => {
    api.refuse("POST /v1/chat/completions", 400, "invalid_request", "Too long.");
    await asked("One?");
    expect(state().notice?.message).toBe("Too long.");
    expect(state().drafts.temporary).toBe("One?");
  });
});

describe("drafts", () => {
  it("are stored after a pause, and cleared at once when they are sent", async () => {
    keepDrafts(chat);
    state().setDraft("D");
    state().setDraft("Dear");
    await settle(200);
    expect(api.drafts).toEqual({});
    await settle(1000);
    expect(api.callsOf("PUT /api/drafts")).toHaveLength(1);
    expect(api.drafts).toEqual({ "": "Dear" });
    void state().send("Dear");
    await settle();
    expect(api.drafts[""]).toBe("");
  });

  it("come from the server, but not over what was typed here", async () => {
    const read = keepDrafts(chat);
    api.drafts[""] = "From the phone";
    api.drafts.s9 = "Of another chat";
    state().setDraft("Typed here");
    await read();
    expect(state().drafts).toEqual({ "": "Typed here", s9: "Of another chat" });
    await settle(1000);
    expect(api.drafts[""]).toBe("Typed here");
    api.drafts[""] = "Longer, from the phone";
    await read();
    expect(state().drafts[""]).toBe("Longer, from the phone");
  });

  it("of a temporary chat stay in the page", async () => {
    keepDrafts(chat);
    state().open(null, null, temporary);
    state().setDraft("Secret");
    await settle(2000);
    expect(api.callsOf("PUT /api/drafts")).toEqual([]);
  });
});

describe("a long chat", () => {
  it("is shown once its newest messages are there, and the others follow", async () => {
    const session = api.session("Long");
    for (let at = 0; at < 30; at += 1) api.message(session, "user", `Number ${at}`);
    const pages = vi.fn();
    const whole = api.messages;
    vi.stubGlobal("fetch", async (path: string) => {
      await Promise.resolve();
      if (!path.includes("/messages")) return new Response(JSON.stringify(session));
      pages(path.split("?")[1]);
      const before = new URLSearchParams(path.split("?")[1]).get("before");
      const end = before === null ? 30 : whole.findIndex(({ id }) => id === before);
      const start = Math.max(0, end - 10);
      return new Response(JSON.stringify({ messages: whole.slice(start, end), more: start > 0 }));
    });
    state().open(session.id);
    await settle();
    expect(pages.mock.calls.map(([query]) => query as string)).toEqual([
      "limit=200",
      `limit=1000&before=${whole[20]?.id ?? ""}`,
      `limit=1000&before=${whole[10]?.id ?? ""}`,
    ]);
    expect(shown()).toHaveLength(30);
    expect(shown()[0]).toBe("user: Number 0");
  });
});
