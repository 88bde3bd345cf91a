import { useTranslation } from "react-i18next";

import type { LocalModel } from "@/api/types";
import { Badge } from "@/components/badge";
import { Button, IconButton } from "@/components/button";
import { TrashIcon } from "@/components/icons";
import { MemoryParts } from "@/components/memory-parts";
import { ProgressBar } from "@/components/progress-bar";
import { factsOf, ownerOf } from "@/features/models/facts";

export type ModelAction = "load" | "unload" | "use" | "remove" | "download";

interface ModelCardProps {
  model: LocalModel;
  /** Whether chats use it by default. */
  inUse: boolean;
  manages: boolean;
  onAction: (action: ModelAction) => void;
}

const dots = {
  ready: "bg-accent",
  loading: "animate-breathe bg-warn",
  failing: "bg-danger",
  failed: "bg-danger",
  unloaded: "bg-line-bold",
};

export function ModelCard({ model, inUse, manages, onAction }: ModelCardProps) {
  const { t } = useTranslation();
  const { name, status, detail, warning, path, memory } = model;
  return (
    <article
      aria-label={name}
      className="flex flex-wrap items-center gap-x-4 gap-y-3 rounded-panel border border-line px-4 py-3.5"
    >
      <div className="min-w-0 flex-1 basis-72">
        <div className="flex flex-wrap items-center gap-2">
          <h3 className="min-w-0 font-medium wrap-anywhere">{name}</h3>
          {inUse && <Badge>{t("models.inUse")}</Badge>}
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
        {memory?.measured && (
          <MemoryParts
            parts={memory}
            className="mt-0.5 text-[0.8125rem] text-faint tabular-nums"
          />
        )}
        <p className="mt-0.5 text-[0.8125rem] text-faint wrap-anywhere" title={path ?? undefined}>
          {[ownerOf(model, t), model.repo].filter((part) => part !== "").join(" · ")}
        </p>
        {detail !== null && status !== "ready" && (
          <p className={`mt-1.5 text-sm wrap-anywhere ${status === "failed" ? "text-danger" : "text-muted"}`}>
            {detail}
          </p>
        )}
        {warning !== null && <p className="mt-1.5 text-sm text-warn wrap-anywhere">{warning}</p>}
      </div>
      {manages && <ModelActions model={model} inUse={inUse} onAction={onAction} />}
    </article>
  );
}

function ModelActions({ model, inUse, onAction }: Omit<ModelCardProps, "manages">) {
  const { t } = useTranslation();
  const { name, status, downloaded, embeds, owner, fits } = model;
  const loaded = status === "ready" || status === "loading";
  const button = (action: ModelAction, text: string, disabled = false) => (
    <Button
      aria-label={`${text} ${name}`}
      disabled={disabled}
      onClick={() => {
        onAction(action);
      }}
    >
      {text}
    </Button>
  );
  if (!downloaded) return button("download", t("models.download"));
  return (
    <div className="flex flex-wrap items-center gap-2">
      {!inUse && !embeds && fits !== "too_big" && button("use", t("models.use"))}
      {loaded
        ? button("unload", t("models.unload"))
        : button("load", t("models.load"), fits === "too_big")}
      {owner === "appliance" && (
        <IconButton
          label={`${t("models.remove")} ${name}`}
          onClick={() => {
            onAction("remove");
          }}
        >
          <TrashIcon />
        </IconButton>
      )}
    </div>
  );
}
