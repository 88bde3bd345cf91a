import type { ModelStatus } from "@/api/types";
import { servingModel } from "@/features/status/status-store";
import { useStatus } from "@/features/status/status-context";
import { classNames } from "@/lib/class-names";
import { formatCount } from "@/lib/format";

/** The model that answers, and how it is: the foot of the rail. */
export function ModelLine() {
  const reach = useStatus((state) => state.reach);
  const model = useStatus((state) => servingModel(state.server));
  const known = useStatus((state) => state.server !== null);
  const down = reach === "down";
  return (
    <div className="flex items-center gap-3 px-3 py-2 text-sm">
      <span
        aria-hidden="true"
        className={classNames("size-2 shrink-0 rounded-full", down ? "bg-danger" : dotFor(model))}
      />
      <div className="min-w-0">
        <p className="truncate leading-5 font-medium">
          {model?.name ?? (known ? "No model" : "Appliance")}
        </p>
        <p className="truncate text-xs leading-4 text-faint tabular-nums">
          {down ? "Server unreachable" : wordFor(model, known)}
        </p>
      </div>
    </div>
  );
}

function dotFor(model: ModelStatus | null): string {
  if (model?.state === "ready") return "bg-accent";
  if (model?.state === "loading") return "animate-breathe bg-warn";
  return model?.state === "failed" ? "bg-danger" : "bg-faint";
}

function wordFor(model: ModelStatus | null, known: boolean): string {
  if (!model) return known ? "Nothing is installed" : "Connecting…";
  switch (model.state) {
    case "ready":
      return ["Ready", model.device, contextOf(model)].filter(Boolean).join(" · ");
    case "loading":
      return `Loading · ${Math.round(model.progress * 100)} %`;
    case "failed":
      return "Could not be loaded";
    case "unloaded":
      return "Sleeps until it is asked";
  }
}

function contextOf({ n_ctx }: ModelStatus): string | null {
  return n_ctx === null ? null : `reads ${formatCount(n_ctx)} tokens`;
}
