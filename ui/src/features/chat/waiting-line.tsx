import type { Prefill } from "@/api/types";
import { ProgressBar } from "@/components/progress-bar";
import { formatCount } from "@/lib/format";

interface WaitingLineProps {
  prefill: Prefill | null;
  writing: boolean;
  linked: boolean;
  stopping: boolean;
}

/** What is going on while a reply is not finished. It stands where the figures will. */
export function WaitingLine({ prefill, writing, linked, stopping }: WaitingLineProps) {
  const reading = linked && !stopping && !writing && prefill !== null && prefill.total > 0;
  return (
    <div className="flex min-h-8 items-center gap-3 text-[0.8125rem] text-faint tabular-nums">
      <Dots />
      <span>{wordFor({ prefill: reading ? prefill : null, writing, linked, stopping })}</span>
      {reading && (
        <ProgressBar
          label="Reading the prompt"
          value={prefill.done / prefill.total}
          className="w-28 max-sm:w-16"
        />
      )}
    </div>
  );
}

function wordFor({ prefill, writing, linked, stopping }: WaitingLineProps): string {
  if (!linked) return "The connection was lost. Looking for the reply again…";
  if (stopping) return "Stopping…";
  if (writing) return "Writing";
  if (prefill) {
    return `Reading the prompt · ${formatCount(prefill.done)} of ${formatCount(prefill.total)} tokens`;
  }
  return "Waiting for the model";
}

function Dots() {
  return (
    <span className="flex gap-1" aria-hidden="true">
      {["0ms", "180ms", "360ms"].map((animationDelay) => (
        <span
          key={animationDelay}
          className="size-1.5 animate-breathe rounded-full bg-accent"
          style={{ animationDelay }}
        />
      ))}
    </span>
  );
}
