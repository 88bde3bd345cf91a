import { act, render, screen } from "@testing-library/react";
import { beforeEach, expect, it, vi } from "vitest";

import { useStickToBottom } from "@/features/chat/components/use-stick-to-bottom";

let grown: () => void;
const frame = { height: 500, content: 2000 };

class HandyResizeObserver implements ResizeObserver {
  constructor(callback: ResizeObserverCallback) {
    grown = () => {
      callback([], this);
    };
  }
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

function Reader() {
  const { scroller, content, away, jump } = useStickToBottom();
  return (
    <div ref={scroller} data-testid="scroller">
      <div ref={content} />
      {away && <button onClick={jump}>Jump</button>}
    </div>
  );
}

/** A scroller of 500 px, as jsdom lays nothing out. */
function show(): HTMLElement {
  render(<Reader />);
  const scroller = screen.getByTestId("scroller");
  let top = 0;
  Object.defineProperties(scroller, {
    clientHeight: { get: () => frame.height },
    scrollHeight: { get: () => frame.content },
    scrollTop: {
      get: () => top,
      set: (wanted: number) => {
        top = Math.max(0, Math.min(wanted, frame.content - frame.height));
      },
    },
  });
  return scroller;
}

function scroll(scroller: HTMLElement, top: number) {
  act(() => {
    scroller.scrollTop = top;
    scroller.dispatchEvent(new Event("scroll"));
  });
}

function grow(pixels: number) {
  act(() => {
    frame.content += pixels;
    grown();
  });
}

beforeEach(() => {
  vi.stubGlobal("ResizeObserver", HandyResizeObserver);
  frame.content = 2000;
});

it("keeps the end in sight while the text grows", () => {
  const scroller = show();
  grow(100);
  expect(scroller.scrollTop).toBe(1600);
  scroll(scroller, 1600);
  grow(300);
  expect(scroller.scrollTop).toBe(1900);
  expect(screen.queryByRole("button")).toBeNull();
});

it("never moves a reader who scrolled up, and offers the way back", () => {
  const scroller = show();
  grow(0);
  scroll(scroller, 1500);
  scroll(scroller, 1460);
  grow(400);
  expect(scroller.scrollTop).toBe(1460);
  act(() => {
    screen.getByRole("button").click();
  });
  expect(scroller.scrollTop).toBe(1900);
  grow(100);
  expect(scroller.scrollTop).toBe(2000);
});

it("follows again when the reader comes back to the end", () => {
  const scroller = show();
  grow(0);
  scroll(scroller, 1500);
  scroll(scroller, 800);
  expect(screen.getByRole("button")).toBeTruthy();
  scroll(scroller, 1495);
  expect(screen.queryByRole("button")).toBeNull();
  grow(100);
  expect(scroller.scrollTop).toBe(1600);
});

it("still follows when something above turns out lower than was thought", () => {
  const scroller = show();
  grow(0);
  scroll(scroller, 1500);
  // What the browser does to keep what is read in its place, with more text below in the meantime.
  frame.content += 40 - 300;
  scroll(scroller, 1200);
  grow(100);
  expect(scroller.scrollTop).toBe(frame.content - frame.height);
});
