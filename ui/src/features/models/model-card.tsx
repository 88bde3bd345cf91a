import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import type { LocalModel } from "@/api/types";
import { Badge } from "@/components/badge";
import { Button } from "@/components/button";
import { ProgressBar } from "@/components/progress-bar";
import { formatBytes, formatCount } from "@/lib/format";

interface ModelCardProps {
  model: LocalModel;
  manages: boolean;
  onLoad: () => void;
  onUnload: () => void;
}

const dots = {
  ready: "bg-accent",
  loading: "animate-breathe bg-warn",
  failed: "bg-danger",
  unloaded: "bg-line-bold",
};

export function ModelCard({ model, manages, onLoad, onUnload }: ModelCardProps) {
  const { t } = useTranslation();
  const { name, status, detail, warning } = model;
  const loaded = status === "ready" || status === "loading";
  return (
    <article
      aria-label={name}
      className="flex flex-wrap items-center gap-x-4 gap-y-3 rounded-panel border border-line px-4 py-3.5"
    >
      <div className="min-w-0 flex-1 basis-72">
        <div className="flex flex-wrap items-center gap-2">
          <h3 className="min-w-0 font-medium wrap-anywhere">{name}</h3>
          {model.default && <Badge>{t("models.default")}</Badge>}
        </div>
        <p className="mt-0.5 flex items-center gap-2 text-sm text-muted tabular-nums">
          <span aria-hidden="true" className={`size-2 shrink-0 rounded-full ${dots[status]}`} />
          {[
            status === "loading"
              ? t("status.loading", { percent: Math.round(model.progress * 100) })
              : t(`models.state.${status}`),
            model.device,
          ]
            .filter(Boolean)
            .join(" · ")}
        </p>
        {status === "loading" && (
          <ProgressBar
            label={t("warmUp.loading", { name })}
            value={model.progress}
            className="mt-2 max-w-80"
          />
        )}
        <p className="mt-1.5 text-[0.8125rem] text-faint tabular-nums">
          {factsOf(model, t).join(" · ")}
        </p>
        {detail !== null && status !== "ready" && (
          <p className={`mt-1.5 text-sm wrap-anywhere ${status === "failed" ? "text-danger" : "text-muted"}`}>
            {detail}
          </p>
        )}
        {warning !== null && <p className="mt-1.5 text-sm text-warn wrap-anywhere">{warning}</p>}
      </div>
      {manages && model.downloaded && (
        <Button onClick={loaded ? onUnload : onLoad} disabled={model.fits === "too_big" && !loaded}>
          {loaded ? t("models.unload") : t("models.load")}
          <span className="sr-only">{name}</span>
        </Button>
      )}
    </article>
  );
}

function factsOf(model: LocalModel, t: TFunction): string[] {
  const context = model.n_ctx ?? model.context_length;
  return [
    model.quantization,
    model.size > 0 ? formatBytes(model.size) : "",
    model.memory_bytes > 0 ? t("models.memory", { size: formatBytes(model.memory_bytes) }) : "",
    context > 0 ? t("models.context", { formatted: formatCount(context) }) : "",
    model.fits === null || model.status === "ready" ? "" : t(`models.fits.${model.fits}`),
    model.licence,
  ].filter((fact) => fact !== "");
}
