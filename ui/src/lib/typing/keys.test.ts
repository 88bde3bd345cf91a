import { afterEach, describe, expect, it, vi } from "vitest";

import { isComposing, isSendKey } from "@/lib/typing/keys";

const enter = (init: KeyboardEventInit = {}) => new KeyboardEvent("keydown", { key: "Enter", keyCode: 13, ...init });

afterEach(() => {
  vi.restoreAllMocks();
});

describe("Enter", () => {
  it("is the input method's during a composition, and in WebKit right after it", () => {
    expect(isComposing(enter({ isComposing: true, keyCode: 229 }))).toBe(true);
    expect(isComposing(enter({ keyCode: 229 }))).toBe(true);
    expect(isComposing(enter())).toBe(false);
    expect(isSendKey(enter({ keyCode: 229 }))).toBe(false);
  });

  it("sends on a keyboard, with Shift never", () => {
    expect(isSendKey(enter())).toBe(true);
    expect(isSendKey(enter({ shiftKey: true }))).toBe(false);
    expect(isSendKey(enter({ ctrlKey: true, shiftKey: true }))).toBe(false);
    expect(isSendKey(new KeyboardEvent("keydown", { key: "a" }))).toBe(false);
  });

  it("makes a new line where the screen is touched, and sends with Ctrl or Command", () => {
    vi.spyOn(window, "matchMedia").mockImplementation(
      (query) => ({ matches: query === "(pointer: coarse)" }) as MediaQueryList,
    );
    expect(isSendKey(enter())).toBe(false);
    expect(isSendKey(enter({ ctrlKey: true }))).toBe(true);
    expect(isSendKey(enter({ metaKey: true }))).toBe(true);
  });
});
