import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { ApiError, Unreachable } from "@/api/client";
import { followReply, type ReplyEvent, type ReplySource } from "@/api/follow-reply";
import { overHttp } from "@/api/reply-transport";
import type { Session } from "@/api/types";
import { FakeApi, FakeStream } from "@/testing/fake-api";

let api: FakeApi;
let session: Session;
let abort: AbortController;
let events: ReplyEvent[];
let failure: unknown;

/** Follows in the background; `events` and `failure` tell how it goes. */
function follow(source: Partial<ReplySource> = {}) {
  const wanted = { sessionId: session.id, ...source };
  const run = async () => {
    try {
      for await (const event of followReply(overHttp, wanted, abort.signal)) {
        events.push(event);
      }
    } catch (error) {
      failure = error;
    }
  };
  void run();
}

async function settle(ms = 0) {
  await vi.advanceTimersByTimeAsync(ms);
}

function textOf(): string {
  return events.map((event) => (event.type === "delta" ? event.text : "")).join("");
}

function typesOf(): string[] {
  return events.map(({ type }) => type);
}

const start = { kind: "turn", content: "Hello", parent_id: null } as const;

beforeEach(() => {
  vi.useFakeTimers();
  api = new FakeApi().install();
  session = api.session("A chat");
  abort = new AbortController();
  events = [];
  failure = undefined;
});

afterEach(() => {
  abort.abort();
  vi.useRealTimers();
});

describe("followReply", () => {
  it("gives a turn's events in order and ends with done", async () => {
    follow({ start });
    await settle();
    api.stream.event("prefill", { done: 1, total: 2, cached_tokens: 0 });
    api.stream.delta("Hi ");
    api.stream.delta("you");
    api.stream.event("done", api.settle(session, "Hi you"));
    await settle();
    expect(typesOf()).toEqual(["turn", "prefill", "delta", "delta", "done"]);
    expect(textOf()).toBe("Hi you");
  });

  it("goes on from its offset when the socket drops, and counts code points", async () => {
    follow({ start });
    await settle();
    api.stream.delta("🦙🦙 é");
    await settle();
    api.stream.break();
    await settle(10_000);
    expect(api.calls.at(-1)?.path).toBe(`/api/sessions/${session.id}/live?from=4`);
    api.stream.delta(" more");
    api.stream.event("done", api.settle(session, "🦙🦙 é more"));
    await settle();
    expect(textOf()).toBe("🦙🦙 é more");
    expect(typesOf()).toEqual(["turn", "delta", "connection", "connection", "delta", "done"]);
  });

  it("drops text that comes twice, the half of an overlap too", async () => {
    api.liveReply(session, "Hello", "abc");
    const stream = new FakeStream();
    api.next(`GET /api/sessions/${session.id}/live?from=3`, stream);
    follow({ from: 3 });
    await settle();
    stream.delta("ab");
    stream.delta("cd");
    stream.delta("e");
    await settle();
    expect(textOf()).toBe("de");
  });

  it("asks again from its offset when text is missing", async () => {
    follow({ start });
    await settle();
    api.stream.delta("one ");
    api.stream.event("delta", { offset: 13, text: "three" });
    await settle(10_000);
    expect(api.calls.at(-1)?.path).toBe(`/api/sessions/${session.id}/live?from=4`);
    api.stream.delta("two three");
    await settle();
    expect(textOf()).toBe("one two three");
  });

  it("keeps asking while the server is away, more and more seldom", async () => {
    follow({ start });
    await settle();
    api.down = true;
    api.stream.break();
    await settle(60_000);
    const tries = api.calls.length - 1;
    expect(tries).toBeGreaterThan(4);
    expect(tries).toBeLessThan(20);
    api.down = false;
    await settle(10_000);
    api.stream.delta("back");
    await settle();
    expect(textOf()).toBe("back");
  });

  it("says gone when the reply ended out of sight", async () => {
    follow({ start });
    await settle();
    session.live_message_id = null;
    api.stream.end();
    await settle(10_000);
    expect(typesOf()).toEqual(["turn", "connection", "gone"]);
    expect(failure).toBeUndefined();
  });

  it("throws the refusal of a turn, and asks no more", async () => {
    const call = `POST /api/sessions/${session.id}/turns`;
    api.refuse(call, 400, "context_length_exceeded", "Too long.");
    follow({ start });
    await settle(10_000);
    expect(failure).toBeInstanceOf(ApiError);
    expect(api.calls).toHaveLength(1);
  });

  it("never sends a turn twice when the server can't be reached", async () => {
    api.down = true;
    follow({ start });
    await settle(10_000);
    expect(failure).toBeInstanceOf(Unreachable);
    expect(api.calls).toHaveLength(1);
  });

  it("ignores events that it does not know", async () => {
    follow({ start });
    await settle();
    api.stream.event("weather", { rain: true });
    api.stream.delta("dry");
    await settle();
    expect(typesOf()).toEqual(["turn", "delta"]);
  });

  it("closes its socket when aborted", async () => {
    follow({ start });
    await settle();
    abort.abort();
    await settle();
    expect(api.stream.cancelled).toBe(true);
    expect(failure).toHaveProperty("name", "AbortError");
  });
});
