/**
 * Collects items and delivers them once per animation frame, so that a fast stream causes one render
 * per frame and not one per token.
 */
export interface FrameBatch<T> {
  push(item: T): void;
  /** Delivers the pending items now. */
  flush(): void;
  /** Drops the pending items. */
  cancel(): void;
}

// A hidden page gets no frames, but its text must still grow.
const hiddenPageMs = 250;

export function createFrameBatch<T>(deliver: (items: T[]) => void): FrameBatch<T> {
  let waiting: T[] = [];
  let frame = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;

  const unschedule = () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = 0;
  };
  const flush = () => {
    unschedule();
    if (waiting.length === 0) return;
    const items = waiting;
    waiting = [];
    deliver(items);
  };
  return {
    push(item) {
      waiting.push(item);
      if (frame !== 0) return;
      frame = requestAnimationFrame(flush);
      timer = setTimeout(flush, hiddenPageMs);
    },
    flush,
    cancel() {
      unschedule();
      waiting = [];
    },
  };
}
