import { useCallback, useSyncExternalStore } from "react";

import { useStatus } from "@/features/status/status-context";
import { secondsLeft, servingModel } from "@/features/status/status-store";

/**
 * Whole seconds until the model of the open chat is loaded; null: it is, or that is not known yet.
 * Renders each second while it is being loaded, and not at all otherwise.
 */
export function useModelLeft(): number | null {
  const start = useStatus((state) => state.loadStart);
  const progress = useStatus((state) => servingModel(state)?.progress ?? 0);
  const subscribe = useCallback(
    (onChange: () => void) => {
      if (!start) return () => undefined;
      const timer = setInterval(onChange, 1000);
      return () => {
        clearInterval(timer);
      };
    },
    [start],
  );
  return useSyncExternalStore(subscribe, () => {
    const left = start && secondsLeft(start, progress, Date.now());
    return left === null ? null : Math.round(left);
  });
}
