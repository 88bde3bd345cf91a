import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import { ProgressBar } from "@/components/progress-bar";
import { useChat } from "@/features/chat/state/chat-context";
import type { LiveReply } from "@/features/chat/state/chat-state";
import { useAnsweringModel, type AnsweringModel } from "@/features/chat/state/model-context";
import { formatCount, formatRate, formatSeconds } from "@/lib/format";

/** The state of an unfinished reply, in place of its usage figures. */
export function WaitingLine({ live }: { live: LiveReply | null }) {
  const { t } = useTranslation();
  const stopping = useChat((state) => state.stopping);
  const prefill = live === null || stopping ? null : prefillOf(live);
  const model = useAnsweringModel();
  const loading = stopping || prefill || (live !== null && isBegun(live)) ? null : model?.loading;
  return (
    <div className="flex min-h-8 items-center gap-3 text-[0.8125rem] text-faint tabular-nums">
      <Dots />
      <span>
        {stopping
          ? t("waiting.stopping")
          : model && loading
            ? loadingText(model, loading, t)
            : stateText(live, t)}
      </span>
      {model && loading && (
        <ProgressBar
          label={t("warmUp.loading", { name: model.name })}
          value={loading.progress}
          className="w-28 max-sm:w-16"
        />
      )}
      {prefill && (
        <ProgressBar
          label={t("waiting.bar")}
          value={prefill.done / prefill.total}
          className="w-28 max-sm:w-16"
        />
      )}
    </div>
  );
}

function isBegun({ connected, text, reasoning }: LiveReply): boolean {
  return !connected || text !== "" || reasoning !== "";
}

function loadingText(
  { name }: AnsweringModel,
  { progress, secondsLeft }: NonNullable<AnsweringModel["loading"]>,
  t: TFunction,
): string {
  const percent = t("units.percent", { value: Math.round(progress * 100) });
  const left =
    secondsLeft === null
      ? null
      : t("warmUp.left", { time: formatSeconds(Math.max(1, secondsLeft)) });
  return [t("warmUp.loading", { name }), percent, left].filter(Boolean).join(" · ");
}

/** The progress of the prefill, while it lasts. */
function prefillOf(live: LiveReply) {
  if (isBegun(live)) return null;
  const { prefill } = live;
  return prefill !== null && prefill.total > 0 ? prefill : null;
}

function stateText(live: LiveReply | null, t: TFunction): string {
  if (live === null) return t("waiting.model");
  if (!live.connected) return t("waiting.lost");
  if (live.text !== "" || live.reasoning !== "") {
    const word = live.text === "" ? t("waiting.thinking") : t("waiting.writing");
    const { tokensPerSecond } = live;
    return tokensPerSecond === null ? word : `${word} · ≈ ${formatRate(tokensPerSecond)}`;
  }
  if (live.queuePosition !== null) {
    return live.queuePosition <= 1 ? t("waiting.next") : t("waiting.queue", { place: live.queuePosition });
  }
  const prefill = prefillOf(live);
  if (!prefill) return t("waiting.model");
  return t("waiting.reading", {
    done: formatCount(prefill.done),
    total: formatCount(prefill.total),
  });
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
