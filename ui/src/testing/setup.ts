import { cleanup, configure } from "@testing-library/react";
import { afterEach, beforeEach } from "vitest";

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

Object.assign(globalThis, {
  ResizeObserver: NoResizeObserver,
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
