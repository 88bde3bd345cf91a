import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import { ProgressBar } from "@/components/progress-bar";
import { useChat } from "@/features/chat/chat-context";
import type { LiveReply } from "@/features/chat/chat-state";
import { formatCount, formatRate } from "@/lib/format";

/** What is going on while a reply is not finished. It stands where the figures will. */
export function WaitingLine({ live }: { live: LiveReply | null }) {
  const { t } = useTranslation();
  const stopping = useChat((state) => state.stopping);
  const prefill = live === null || stopping ? null : prefillOf(live);
  return (
    <div className="flex min-h-8 items-center gap-3 text-[0.8125rem] text-faint tabular-nums">
      <Dots />
      <span>{stopping ? t("waiting.stopping") : wordFor(live, t)}</span>
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

/** How much of the prompt is read, while that is what goes on. */
function prefillOf({ linked, text, reasoning, prefill }: LiveReply) {
  if (!linked || text !== "" || reasoning !== "") return null;
  return prefill !== null && prefill.total > 0 ? prefill : null;
}

function wordFor(live: LiveReply | null, t: TFunction): string {
  if (live === null) return t("waiting.model");
  if (!live.linked) return t("waiting.lost");
  if (live.text !== "" || live.reasoning !== "") {
    const word = live.text === "" ? t("waiting.thinking") : t("waiting.writing");
    const { tokensPerSecond } = live;
    return tokensPerSecond === null ? word : `${word} · ≈ ${formatRate(tokensPerSecond)}`;
  }
  if (live.place !== null) {
    return live.place <= 1 ? t("waiting.next") : t("waiting.queue", { place: live.place });
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
