import { describe, expect, it, vi } from "vitest";

import { readEvents, SseParser, StreamLost, type SseEvent } from "@/api/stream";

const text =
  ': keep-alive\n\nevent: turn\ndata: {"a":1}\n\nevent: delta\nid: 5\ndata: {"text":"héllo 🦙"}\n\n' +
  "event: delta\r\nid: 6\r\ndata: one\r\ndata: two\r\n\r\ndata:no space\r\rid: 7\n\nevent: done\ndata: {}\n\n";

const events: SseEvent[] = [
  { event: "turn", data: '{"a":1}', id: null },
  { event: "delta", data: '{"text":"héllo 🦙"}', id: "5" },
  { event: "delta", data: "one\ntwo", id: "6" },
  { event: "message", data: "no space", id: "6" },
  { event: "done", data: "{}", id: "7" },
];

function streamOf(...chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(control) {
      for (const chunk of chunks) control.enqueue(chunk);
      control.close();
    },
  });
}

async function all(stream: ReadableStream<Uint8Array>): Promise<SseEvent[]> {
  const found: SseEvent[] = [];
  for await (const event of readEvents(stream, 1000)) found.push(event);
  return found;
}

describe("SseParser", () => {
  it("gives an event as soon as it is complete, and drops an unfinished one", () => {
    const parser = new SseParser();
    expect(parser.push("event: a\ndata: 1\n")).toEqual([]);
    expect(parser.push("\ndata: unfinished")).toEqual([{ event: "a", data: "1", id: null }]);
  });

  it("ignores unknown fields, comments and events without data", () => {
    const parser = new SseParser();
    expect(parser.push("retry: 5\nnonsense\n: c\nevent: empty\n\ndata: x\n\n")).toEqual([
      { event: "message", data: "x", id: null },
    ]);
  });
});

describe("readEvents", () => {
  const bytes = new TextEncoder().encode(text);

  it("reads the same events wherever the bytes are cut in two", async () => {
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      expect(await all(streamOf(bytes.slice(0, cut), bytes.slice(cut)))).toEqual(events);
    }
  });

  it("reads the same events byte by byte", async () => {
    expect(await all(streamOf(...Array.from(bytes, (byte) => Uint8Array.of(byte))))).toEqual(events);
  });

  it("throws StreamLost when the socket breaks", async () => {
    const broken = new ReadableStream<Uint8Array>({
      start(control) {
        control.error(new TypeError("network error"));
      },
    });
    await expect(all(broken)).rejects.toBeInstanceOf(StreamLost);
  });

  it("throws StreamLost when nothing comes, not even a keep-alive", async () => {
    vi.useFakeTimers();
    try {
      const silent = new ReadableStream<Uint8Array>();
      const outcome = expect(all(silent)).rejects.toBeInstanceOf(StreamLost);
      await vi.advanceTimersByTimeAsync(1001);
      await outcome;
    } finally {
      vi.useRealTimers();
    }
  });

  it("gives the socket back when the reader leaves early", async () => {
    const cancel = vi.fn();
    const stream = new ReadableStream<Uint8Array>({
      start(control) {
        control.enqueue(bytes);
      },
      cancel,
    });
    for await (const event of readEvents(stream, 1000)) {
      if (event.event === "turn") break;
    }
    expect(cancel).toHaveBeenCalledOnce();
  });
});
