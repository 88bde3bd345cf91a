import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { createFrameBatch } from "@/lib/frame-batch";

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("createFrameBatch", () => {
  it("delivers all items of a frame at once, in order", () => {
    const deliver = vi.fn();
    const batch = createFrameBatch<string>(deliver);
    batch.push("a");
    batch.push("b");
    expect(deliver).not.toHaveBeenCalled();
    vi.advanceTimersToNextFrame();
    batch.push("c");
    vi.advanceTimersToNextFrame();
    expect(deliver.mock.calls).toEqual([[["a", "b"]], [["c"]]]);
  });

  it("delivers in a hidden page, which gets no frames", () => {
    vi.stubGlobal("requestAnimationFrame", () => 1);
    const deliver = vi.fn();
    const batch = createFrameBatch<string>(deliver);
    batch.push("a");
    vi.advanceTimersByTime(1000);
    batch.push("b");
    vi.advanceTimersByTime(1000);
    expect(deliver.mock.calls).toEqual([[["a"]], [["b"]]]);
  });

  it("flushes at once and not again, and forgets when cancelled", () => {
    const deliver = vi.fn();
    const batch = createFrameBatch<string>(deliver);
    batch.push("a");
    batch.flush();
    batch.push("b");
    batch.cancel();
    vi.advanceTimersByTime(1000);
    expect(deliver.mock.calls).toEqual([[["a"]]]);
  });
});
