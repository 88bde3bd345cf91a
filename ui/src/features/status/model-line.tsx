import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import type { ModelStatus } from "@/api/types";
import { servingModel } from "@/features/status/status-store";
import { useStatus } from "@/features/status/status-context";
import { classNames } from "@/lib/class-names";

/** The model in use and its state, at the foot of the rail. */
export function ModelLine() {
  const { t } = useTranslation();
  const reach = useStatus((state) => state.reach);
  const model = useStatus(servingModel);
  const known = useStatus((state) => state.server !== null);
  const down = reach === "down";
  return (
    <div className="flex min-w-0 flex-1 items-center gap-3 px-3 py-2 text-sm">
      <span
        aria-hidden="true"
        className={classNames("size-2 shrink-0 rounded-full", down ? "bg-danger" : dotFor(model))}
      />
      <div className="min-w-0">
        <p className="truncate leading-5 font-medium" title={model?.name}>
          {model?.name ?? (known ? t("status.noModel") : t("app.name"))}
        </p>
        <p className="truncate text-xs leading-4 text-faint tabular-nums">
          {down ? t("status.unreachableShort") : stateText(model, known, t)}
        </p>
      </div>
    </div>
  );
}

function dotFor(model: ModelStatus | null): string {
  if (model?.state === "ready") return "bg-accent";
  if (model?.state === "loading") return "animate-breathe bg-warn";
  return model?.state === "failed" || model?.state === "failing" ? "bg-danger" : "bg-faint";
}

function stateText(model: ModelStatus | null, known: boolean, t: TFunction): string {
  if (!model) return known ? t("status.nothing") : t("status.connecting");
  switch (model.state) {
    case "ready":
      return [t("status.ready"), model.device].filter(Boolean).join(" · ");
    case "loading":
      return t("status.loading", { percent: Math.round(model.progress * 100) });
    case "failing":
      return t("status.failing");
    case "failed":
      return t("status.failed");
    case "stopped":
    case "unloaded":
      return t("status.sleeping");
  }
}
