import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { unsetSettings } from "@/api/settings";
import { chosenModel, createSettingsStore, type SettingsStore } from "@/features/settings/settings-store";
import { FakeApi } from "@/testing/fake-api";

let api: FakeApi;
const nothing = () => undefined;

function create(): SettingsStore {
  return createSettingsStore({ onUnreachable: nothing, onSessionChanged: nothing });
}

async function saved() {
  await vi.advanceTimersByTimeAsync(600);
}

beforeEach(() => {
  vi.useFakeTimers();
  localStorage.clear();
  api = new FakeApi().install();
});

afterEach(() => {
  vi.useRealTimers();
});

describe("a new chat", () => {
  it("has settings of its own, which change nobody else's and survive a reload", async () => {
    const store = create();
    await store.getState().load(null);
    store.getState().change("chat", { temperature: 0.1, model: "other" });
    await saved();
    expect(api.calls.filter(({ method }) => method !== "GET")).toEqual([]);
    expect(store.getState().profile?.temperature).toBeNull();
    const again = create();
    await again.getState().load(null);
    expect(again.getState().session).toEqual({ ...unsetSettings, temperature: 0.1, model: "other" });
    expect(chosenModel(again.getState())).toBe("other");
  });

  it("gives them to the chat that it becomes, and the next one begins without", async () => {
    const store = create();
    await store.getState().load(null);
    store.getState().change("chat", { top_k: 3 });
    const session = api.session("A chat");
    session.settings = { ...unsetSettings, top_k: 3 };
    store.getState().adopt(session);
    expect(store.getState().session.top_k).toBe(3);
    await store.getState().load(null);
    expect(store.getState().session).toEqual(unsetSettings);
    expect(create().getState().draft).toEqual(unsetSettings);
  });

  it("is not broken by what the browser has stored", async () => {
    localStorage.setItem("draft-settings", '{"top_k": 3, "colour": "red"');
    expect(create().getState().draft).toEqual(unsetSettings);
    localStorage.setItem("draft-settings", '{"top_k": 3, "colour": "red"}');
    const store = create();
    await store.getState().load(null);
    expect(store.getState().session).toEqual({ ...unsetSettings, top_k: 3 });
  });
});

describe("changes", () => {
  it("are sent by themselves, so that another window's are not undone", async () => {
    const session = api.session("A chat");
    const store = create();
    await store.getState().load(session.id);
    session.settings = { ...unsetSettings, seed: 7 };
    store.getState().change("chat", { top_k: 3 });
    store.getState().change("chat", { top_p: 0.5 });
    store.getState().change("all", { min_p: 0.2 });
    await saved();
    const sent = api.calls.filter(({ method }) => method === "PATCH");
    expect(sent).toEqual([
      {
        method: "PATCH",
        path: `/api/sessions/${session.id}`,
        body: { settings: { top_k: 3, top_p: 0.5 } },
      },
      { method: "PATCH", path: "/api/settings", body: { min_p: 0.2 } },
    ]);
    expect(session.settings).toEqual({ ...unsetSettings, seed: 7, top_k: 3, top_p: 0.5 });
    expect(store.getState()).toMatchObject({ saving: "saved", savingOf: "all" });
  });

  it("that are refused have the server's reason, and are sent with the next one", async () => {
    const session = api.session("A chat");
    const store = create();
    await store.getState().load(session.id);
    api.refuse(`PATCH /api/sessions/${session.id}`, 403, "not_allowed", "This needs manage.");
    store.getState().change("chat", { top_k: 3 });
    await saved();
    expect(store.getState()).toMatchObject({ saving: "failed", failure: "This needs manage." });
    store.getState().change("chat", { seed: 1 });
    await saved();
    expect(store.getState()).toMatchObject({ saving: "saved", failure: null });
    expect(session.settings).toEqual({ ...unsetSettings, top_k: 3, seed: 1 });
  });

  it("are sent before another chat is shown", async () => {
    const session = api.session("A chat");
    const store = create();
    await store.getState().load(session.id);
    store.getState().change("chat", { top_k: 3 });
    await store.getState().load(null);
    await saved();
    expect(session.settings?.top_k).toBe(3);
    expect(store.getState().session).toEqual(unsetSettings);
  });
});
