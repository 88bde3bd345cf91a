import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { ApiError, Unreachable } from "@/api/client";
import { followReply, type ReplyEvent } from "@/api/follow-reply";
import { overSocket } from "@/api/reply-transport";
import { ChatSocket } from "@/api/socket";
import { refusal } from "@/testing/fake-routes";

/** A browser's end of a socket, and in the test's hands the server's. */
class FakeWebSocket {
  static readonly OPEN = 1;
  static made: FakeWebSocket[] = [];
  /** Opens by itself; else the server refuses the handshake. */
  static welcome = true;
  readonly sent: Record<string, unknown>[] = [];
  readyState = 0;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;

  constructor(readonly url: string) {
    FakeWebSocket.made.push(this);
    queueMicrotask(() => {
      if (!FakeWebSocket.welcome) {
        this.close();
        return;
      }
      this.readyState = FakeWebSocket.OPEN;
      this.onopen?.();
    });
  }

  send(text: string) {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close() {
    this.readyState = 3;
    this.onclose?.();
  }

  say(frame: Record<string, unknown>) {
    this.onmessage?.({ data: JSON.stringify({ session_id: "s1", ...frame }) });
  }
}

let received: ReplyEvent[];
let failure: unknown;
let abort: AbortController;

/** Lets everything happen that waits for nothing but its turn. */
const settle = () => vi.advanceTimersByTimeAsync(0);

function newest(): FakeWebSocket {
  const socket = FakeWebSocket.made.at(-1);
  if (!socket) throw new Error("No socket was opened.");
  return socket;
}

function follow(start: Parameters<typeof followReply>[1]["start"], from = 0) {
  const way = overSocket(new ChatSocket("ws://here/chat/ws"));
  const source = { sessionId: "s1", from, ...(start ? { start } : {}) };
  void (async () => {
    try {
      for await (const event of followReply(way, source, abort.signal)) received.push(event);
    } catch (error) {
      failure = error;
    }
  })();
  return settle();
}

const text = () => received.map((event) => (event.type === "delta" ? event.text : "")).join("");

function delta(text: string, offset: number) {
  newest().say({ type: "delta", message_id: "m1", text, offset });
  return settle();
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeWebSocket);
  FakeWebSocket.made = [];
  FakeWebSocket.welcome = true;
  received = [];
  failure = null;
  abort = new AbortController();
});

afterEach(() => {
  abort.abort();
  vi.useRealTimers();
});

describe("the socket of replies", () => {
  it("sends what is asked, and gives the reply's events to who asked", async () => {
    await follow({ kind: "turn", content: "Hello", parent_id: null });
    expect(newest().sent).toEqual([
      { type: "turn", session_id: "s1", content: "Hello", parent_id: null },
    ]);
    await delta("One", 3);
    newest().say({ type: "delta", session_id: "s2", message_id: "m9", text: "Other", offset: 5 });
    newest().say({ type: "done", message_id: "m1", message: { id: "m1" } });
    await settle();
    expect(text()).toBe("One");
    expect(received.at(-1)?.type).toBe("done");
  });

  it("goes on where it was when the socket breaks, after waiting longer each time", async () => {
    await follow(undefined, 2);
    expect(newest().sent).toEqual([{ type: "follow", session_id: "s1", from: 2 }]);
    await delta("abc", 5);
    FakeWebSocket.welcome = false;
    vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no network")));
    newest().close();
    await settle();
    expect(received.at(-1)).toEqual({ type: "connection", up: false });

    const waits: number[] = [];
    for (let last = Date.now(); waits.length < 5; ) {
      const before = FakeWebSocket.made.length;
      await vi.advanceTimersToNextTimerAsync();
      if (FakeWebSocket.made.length > before) {
        waits.push(Date.now() - last);
        last = Date.now();
      }
    }
    expect(waits[0]).toBeLessThan(2000);
    expect(Math.max(...waits.slice(2))).toBeGreaterThan(waits[0] ?? 0);

    FakeWebSocket.welcome = true;
    const before = FakeWebSocket.made.length;
    while (FakeWebSocket.made.length === before) await vi.advanceTimersToNextTimerAsync();
    await settle();
    expect(newest().sent).toEqual([{ type: "follow", session_id: "s1", from: 5 }]);
    // What comes a second time is left out.
    await delta("bcd", 6);
    expect(text()).toBe("abcd");
    expect(received).toContainEqual({ type: "connection", up: true });
  });

  it("says what the server says when it refuses, for a rate or for a key", async () => {
    for (const [type, code, status] of [
      ["rate_limit_error", "rate_limit_exceeded", 429],
      ["authentication_error", "unauthorized", 401],
    ] as const) {
      await follow({ kind: "turn", content: "Hello", parent_id: null });
      newest().say({ type: "error", error: { type, code, message: "No.", param: null } });
      await settle();
      expect(failure).toBeInstanceOf(ApiError);
      expect(failure).toMatchObject({ status, code, message: "No." });
    }
  });

  it("asks over HTTP why it was not let in", async () => {
    FakeWebSocket.welcome = false;
    const asked: string[] = [];
    vi.stubGlobal("fetch", (path: string) => {
      asked.push(path);
      return Promise.resolve(refusal(401, "unauthorized", "A key is needed."));
    });
    await follow({ kind: "turn", content: "Hello", parent_id: null });
    await settle();
    expect(asked).toEqual(["/api/sessions/s1/turns"]);
    expect(failure).toMatchObject({ status: 401, message: "A key is needed." });
  });

  it("does not say that a message arrived when the socket broke before the server had it", async () => {
    await follow({ kind: "turn", content: "Hello", parent_id: null });
    newest().close();
    await settle();
    expect(failure).toBeInstanceOf(Unreachable);
  });

  it("closes a socket that nobody is behind any more", async () => {
    await follow(undefined);
    const socket = newest();
    await vi.advanceTimersByTimeAsync(100_000);
    expect(socket.readyState).toBe(3);
    expect(socket.sent.slice(1)).toContainEqual({ type: "ping" });
  });
});
