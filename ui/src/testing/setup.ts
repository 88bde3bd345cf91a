import { cleanup, configure } from "@testing-library/react";
import { afterEach, beforeEach } from "vitest";

import "@/lib/i18n";

// A busy machine takes its time to fetch a chunk; a test that waits is not a test that measures.
configure({ asyncUtilTimeout: 15_000 });

// What jsdom lacks of a browser.

class NoResizeObserver implements ResizeObserver {
  observe() {
    return;
  }
  unobserve() {
    return;
  }
  disconnect() {
    return;
  }
}

/** Nobody listens there: replies come over HTTP, which the tests' server speaks. */
class NoWebSocket {
  onclose: (() => void) | null = null;

  constructor() {
    queueMicrotask(() => this.onclose?.());
  }
}

Object.assign(globalThis, {
  WebSocket: NoWebSocket,
  ResizeObserver: NoResizeObserver,
  CSS: { supports: () => false },
  matchMedia: (media: string) => ({
    media,
    // A wide screen with a mouse.
    matches: media === "(min-width: 48rem)" || media === "(pointer: fine)",
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  }),
});

HTMLDialogElement.prototype.showModal = function (this: HTMLDialogElement) {
  this.open = true;
};
HTMLDialogElement.prototype.close = function (this: HTMLDialogElement) {
  this.open = false;
};

beforeEach(() => {
  localStorage.clear();
  history.replaceState(null, "", "/");
});

afterEach(cleanup);
