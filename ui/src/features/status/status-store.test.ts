import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import {
  createStatusStore,
  secondsLeft,
  servingModel,
  type StatusStore,
} from "@/features/status/status-store";
import { FakeApi, readyModel } from "@/testing/fake-api";

let api: FakeApi;
let store: StatusStore;
let stop: () => void;
const onBack = vi.fn();

function asked(): number {
  return api.callsOf("GET /api/status").length;
}

function load(progress: number) {
  api.server = { ...api.server, models: [{ ...readyModel, state: "loading", progress }] };
}

async function watch() {
  store = createStatusStore({ onBack });
  stop = store.getState().watch();
  await vi.advanceTimersByTimeAsync(0);
}

beforeEach(() => {
  vi.useFakeTimers();
  onBack.mockClear();
  api = new FakeApi().install();
});

afterEach(() => {
  stop();
  vi.useRealTimers();
});

describe("status store", () => {
  it("asks each second while the model loads, and seldom once it is ready", async () => {
    load(0.2);
    await watch();
    await vi.advanceTimersByTimeAsync(3000);
    expect(asked()).toBe(4);
    expect(servingModel(store.getState())?.progress).toBe(0.2);
    api.server = { ...api.server, models: [readyModel] };
    await vi.advanceTimersByTimeAsync(1000);
    expect(servingModel(store.getState())?.state).toBe("ready");
    const before = asked();
    await vi.advanceTimersByTimeAsync(9000);
    expect(asked()).toBe(before);
  });

  it("does not take a refusal for a server that is away", async () => {
    await watch();
    api.refuse("GET /api/status", 401, "unauthorized", "This needs a key.");
    store.getState().probe();
    await vi.advanceTimersByTimeAsync(0);
    expect(store.getState().reach).toBe("up");
    const before = asked();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked()).toBe(before + 1);
    api.refuse("GET /api/status", 502, "unknown", "Bad gateway");
    store.getState().probe();
    await vi.advanceTimersByTimeAsync(0);
    expect(store.getState().reach).toBe("down");
  });

  it("retries with growing waits while the server is away, and says when it is back", async () => {
    await watch();
    api.down = true;
    store.getState().probe();
    await vi.advanceTimersByTimeAsync(0);
    expect(store.getState().reach).toBe("down");
    expect(store.getState().server).not.toBeNull();
    const before = asked();
    await vi.advanceTimersByTimeAsync(7000);
    expect(asked()).toBe(before + 3);
    expect(store.getState().nextTryAt).toBeGreaterThan(Date.now());
    expect(onBack).not.toHaveBeenCalled();
    api.down = false;
    await vi.advanceTimersByTimeAsync(16_000);
    expect(store.getState().reach).toBe("up");
    expect(onBack).toHaveBeenCalledOnce();
  });

  it("asks no more when nobody watches", async () => {
    await watch();
    stop();
    const before = asked();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(asked()).toBe(before);
  });

  it("remembers where loading was first seen", async () => {
    load(0.2);
    await watch();
    load(0.6);
    await vi.advanceTimersByTimeAsync(4000);
    const start = store.getState().loadStart;
    expect(start?.progress).toBe(0.2);
    expect(start && Math.round(secondsLeft(start, 0.6, Date.now()) ?? 0)).toBe(4);
  });
});

describe("secondsLeft", () => {
  it("makes no promise out of too little", () => {
    const start = { modelId: "m", at: 0, progress: 0.5 };
    expect(secondsLeft(start, 0.51, 9000)).toBeNull();
    expect(secondsLeft(start, 0.9, 500)).toBeNull();
  });
});

describe("servingModel", () => {
  it("prefers a ready model to a loading one to any", () => {
    const [failed, loading, ready] = (["failed", "loading", "ready"] as const).map((state) => ({
      ...readyModel,
      id: state,
      state,
    }));
    if (!failed || !loading || !ready) throw new Error("three models");
    const server = (...models: (typeof readyModel)[]) => ({
      server: { version: "1", uptime_seconds: 0, models },
      chosenId: null as string | null,
    });
    expect(servingModel(server(failed, loading, ready))?.id).toBe("ready");
    expect(servingModel(server(failed, loading))?.id).toBe("loading");
    expect(servingModel(server(failed))?.id).toBe("failed");
    expect(servingModel(server())).toBeNull();
  });

  it("is the chosen one in any state, unless it is not on this machine", () => {
    const other = { ...readyModel, id: "other", state: "failing" as const };
    const server = { version: "1", uptime_seconds: 0, models: [readyModel, other] };
    expect(servingModel({ server, chosenId: "other" })?.id).toBe("other");
    const missing = { ...server, models: [readyModel, { ...other, missing: true }] };
    expect(servingModel({ server: missing, chosenId: "other" })?.id).toBe("tiny");
    expect(servingModel({ server, chosenId: "gone" })?.id).toBe("tiny");
  });
});
