import { beforeEach, describe, expect, it, vi } from "vitest";

import { createPreferencesStore } from "@/features/settings/preferences-store";
import { fakeRoutes, refusal, type RecordedRequest } from "@/testing/fake-routes";

let kept: Record<string, unknown>;
let down: boolean;
let calls: RecordedRequest[];

beforeEach(() => {
  kept = { theme: null, language: null, rail_hidden: null };
  down = false;
  const no = () => refusal(503, "unavailable", "Not now.");
  calls = fakeRoutes({
    "GET /api/preferences": () => (down ? no() : kept),
    "PATCH /api/preferences": ({ body }) => {
      if (down) return no();
      kept = { ...kept, ...(body as object) };
      return kept;
    },
  });
});

const theme = () => document.documentElement.dataset.theme;

describe("how the page looks", () => {
  it("has text in the size and width that were chosen", async () => {
    kept = { ...kept, text_size: "large" };
    const store = createPreferencesStore();
    const { dataset } = document.documentElement;
    expect([dataset.textSize, dataset.textWidth]).toEqual(["medium", "medium"]);
    await store.getState().load();
    store.getState().setTextWidth("full");
    expect([dataset.textSize, dataset.textWidth]).toEqual(["large", "full"]);
    await vi.waitFor(() => {
      expect(kept).toMatchObject({ text_size: "large", text_width: "full" });
    });
    createPreferencesStore();
    expect([dataset.textSize, dataset.textWidth]).toEqual(["large", "full"]);
  });

  it("is what the server says, in a browser that remembers nothing", async () => {
    kept = { theme: "dark", language: "de", rail_hidden: true };
    const store = createPreferencesStore();
    expect(theme()).toBe("light");
    await store.getState().load();
    expect(store.getState()).toMatchObject({ theme: "dark", language: "de", railHidden: true });
    expect(theme()).toBe("dark");
    await vi.waitFor(() => {
      expect(document.documentElement.lang).toBe("de");
    });
    store.getState().setLanguage("en");
    // The first paint of the next visit is right before the server has answered.
    createPreferencesStore();
    expect(theme()).toBe("dark");
  });

  it("is sent to the server when it is changed", async () => {
    const store = createPreferencesStore();
    store.getState().setTheme("dark");
    store.getState().setRailHidden(true);
    await vi.waitFor(() => {
      expect(kept).toEqual({ theme: "dark", language: null, rail_hidden: true });
    });
  });

  it("is sent later when the server is away, and is not reverted meanwhile", async () => {
    const store = createPreferencesStore();
    down = true;
    store.getState().setTheme("dark");
    await vi.waitFor(() => {
      expect(calls).toHaveLength(1);
    });
    await store.getState().load();
    expect(store.getState().theme).toBe("dark");
    down = false;
    await store.getState().load();
    expect(kept.theme).toBe("dark");
    expect(store.getState().theme).toBe("dark");
  });
});
