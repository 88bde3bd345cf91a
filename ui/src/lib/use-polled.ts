import { useCallback, useEffect, useRef, useState } from "react";

export interface Polled<T> {
  /** null: nothing was read yet. */
  value: T | null;
  /** The last reading failed. */
  error: Error | null;
  /** Reads at once. */
  refresh: () => void;
}

/** Something of the server's, read again every `everyMs` while the page is seen. */
export function usePolled<T>(
  read: (signal: AbortSignal) => Promise<T>,
  everyMs: (value: T | null) => number,
): Polled<T> {
  const [state, setState] = useState<{ value: T | null; error: Error | null }>({
    value: null,
    error: null,
  });
  const ask = useRef<() => void>(() => undefined);

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let asked = 0;
    const now = async () => {
      clearTimeout(timer);
      asked += 1;
      const mine = asked;
      let value: T | null = null;
      try {
        value = await read(abort.signal);
        if (mine !== asked) return;
        setState({ value, error: null });
      } catch (error) {
        if (abort.signal.aborted || mine !== asked) return;
        setState((before) => ({ ...before, error: error as Error }));
      }
      timer = setTimeout(seen, everyMs(value));
    };
    function seen() {
      if (document.visibilityState === "visible") void now();
    }
    ask.current = () => void now();
    void now();
    document.addEventListener("visibilitychange", seen);
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, [read, everyMs]);

  const refresh = useCallback(() => {
    ask.current();
  }, []);
  return { ...state, refresh };
}
