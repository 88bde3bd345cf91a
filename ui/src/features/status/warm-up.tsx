import { useTranslation } from "react-i18next";

import type { ModelStatus } from "@/api/types";
import { AlertIcon } from "@/components/icons";
import { ProgressBar } from "@/components/progress-bar";
import { secondsLeft, servingModel, type LoadStart } from "@/features/status/status-store";
import { useStatus } from "@/features/status/status-context";
import { formatSeconds } from "@/lib/format";
import { useNow } from "@/lib/use-now";

/** What prevents a first reply for now, if anything. */
export function WarmUp() {
  const { t } = useTranslation();
  const known = useStatus((state) => state.server !== null);
  const loadStart = useStatus((state) => state.loadStart);
  const model = useStatus(servingModel);
  if (!known) return null;
  if (!model) {
    return <Trouble title={t("warmUp.none")} text={t("warmUp.noneText")} />;
  }
  if (model.state === "failed") {
    return (
      <Trouble
        title={t("warmUp.failed", { name: model.name })}
        text={model.detail ?? t("warmUp.failedText")}
      />
    );
  }
  if (model.state === "failing") {
    return (
      <Trouble
        title={t("warmUp.failing", { name: model.name })}
        text={t("warmUp.failingText", { detail: model.detail ?? "" })}
      />
    );
  }
  return model.state === "loading" ? <Loading model={model} start={loadStart} /> : null;
}

function Loading({ model, start }: { model: ModelStatus; start: LoadStart | null }) {
  const { t } = useTranslation();
  const now = useNow(1000);
  const left = start && secondsLeft(start, model.progress, now);
  const title = t("warmUp.loading", { name: model.name });
  return (
    <section
      aria-label={t("warmUp.label")}
      className="mt-6 rounded-panel border border-line bg-raised px-4 py-3.5 text-sm"
    >
      <div className="flex items-baseline justify-between gap-4">
        <p className="min-w-0 truncate font-medium">{title}</p>
        <p className="shrink-0 text-muted tabular-nums">{t("units.percent", { value: Math.round(model.progress * 100) })}</p>
      </div>
      <ProgressBar label={title} value={model.progress} className="mt-2.5" />
      <p className="mt-2.5 text-muted tabular-nums">
        {model.detail ?? t("warmUp.reading")}
        {left !== null && ` · ${t("warmUp.left", { time: formatSeconds(Math.max(1, left)) })}`}
      </p>
    </section>
  );
}

function Trouble({ title, text }: { title: string; text: string }) {
  const { t } = useTranslation();
  return (
    <section
      aria-label={t("warmUp.label")}
      className="mt-6 flex gap-3 rounded-panel border border-line-strong px-4 py-3.5 text-sm"
    >
      <AlertIcon className="mt-0.5 size-4.5 text-danger" />
      <div className="min-w-0">
        <p className="font-medium">{title}</p>
        <p className="mt-0.5 text-muted wrap-anywhere">{text}</p>
      </div>
    </section>
  );
}
