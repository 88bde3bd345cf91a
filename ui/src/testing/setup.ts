import { cleanup, configure } from "@testing-library/react";
import { afterEach, beforeEach } from "vitest";

import "@/lib/i18n";

// On a busy machine, loading a chunk takes long; the tests do not measure time.
configure({ asyncUtilTimeout: 15_000 });

// Browser features that jsdom lacks.

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

/** Fails to connect: replies come over HTTP, which the tests' server implements. */
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
