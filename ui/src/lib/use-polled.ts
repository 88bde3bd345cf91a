import { useCallback, useEffect, useRef, useState } from "react";

export interface Polled<T> {
  /** null: not loaded yet. */
  value: T | null;
  /** Why the last request failed. */
  error: Error | null;
  /** Loads it now. */
  refresh: () => void;
}

/** Data from the server, loaded again every `everyMs` while the page is visible. */
export function usePolled<T>(
  read: (signal: AbortSignal) => Promise<T>,
  everyMs: (value: T | null) => number,
): Polled<T> {
  const [state, setState] = useState<{ value: T | null; error: Error | null }>({
    value: null,
    error: null,
  });
  const refreshNow = useRef<() => void>(() => undefined);

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let latest = 0;
    const readNow = async () => {
      clearTimeout(timer);
      latest += 1;
      const request = latest;
      let value: T | null = null;
      try {
        value = await read(abort.signal);
        if (request !== latest) return;
        setState({ value, error: null });
      } catch (error) {
        if (abort.signal.aborted || request !== latest) return;
        setState((before) => ({ ...before, error: error as Error }));
      }
      timer = setTimeout(readIfVisible, everyMs(value));
    };
    function readIfVisible() {
      if (document.visibilityState === "visible") void readNow();
    }
    refreshNow.current = () => void readNow();
    void readNow();
    document.addEventListener("visibilitychange", readIfVisible);
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", readIfVisible);
    };
  }, [read, everyMs]);

  const refresh = useCallback(() => {
    refreshNow.current();
  }, []);
  return { ...state, refresh };
}
