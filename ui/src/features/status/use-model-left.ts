import { useStatus } from "@/features/status/status-context";
import { secondsLeft, servingModel } from "@/features/status/status-store";
import { useNow } from "@/lib/use-now";

/** Seconds until the model of the open chat is loaded; null: it is, or that is not known yet. */
export function useModelLeft(): number | null {
  const start = useStatus((state) => state.loadStart);
  const progress = useStatus((state) => servingModel(state)?.progress ?? 0);
  const now = useNow(1000);
  return start && secondsLeft(start, progress, now);
}
