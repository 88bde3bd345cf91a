import { useMemo } from "react";
import { useTranslation } from "react-i18next";

import { branchTo } from "@/features/chat/state/branch";
import { droppedText } from "@/features/chat/components/usage-details";
import { useChat } from "@/features/chat/state/chat-context";
import { formatCount } from "@/lib/format";

const radius = 6;
const around = 2 * Math.PI * radius;

/** How much of the context this chat uses, as of its last reply. */
export function ContextMeter() {
  const { t } = useTranslation();
  const messages = useChat((state) => state.messages);
  const leafId = useChat((state) => state.leafId);
  const usage = useMemo(
    () => branchTo(messages, leafId).findLast((message) => message.usage !== null)?.usage ?? null,
    [messages, leafId],
  );
  if (!usage?.n_ctx) return null;
  const { n_ctx, context_tokens, dropped_messages } = usage;
  const used = Math.min(context_tokens, n_ctx);
  const share = used / n_ctx;
  const counts = { used: formatCount(used), size: formatCount(n_ctx) };
  const dropped = droppedText(usage, t);
  return (
    <div
      role="meter"
      aria-label={t("context.label")}
      aria-valuemin={0}
      aria-valuemax={n_ctx}
      aria-valuenow={used}
      aria-valuetext={t("context.text", counts)}
      title={`${t("context.title", counts)} ${dropped ?? ""}`.trim()}
      className="flex shrink-0 items-center gap-1.5 text-faint"
    >
      <svg viewBox="0 0 16 16" className="size-4 -rotate-90" fill="none" strokeWidth="2.5" aria-hidden="true">
        <circle cx="8" cy="8" r={radius} className="stroke-line-strong" />
        <circle
          cx="8"
          cy="8"
          r={radius}
          className={share > 0.9 || dropped_messages > 0 ? "stroke-warn" : "stroke-accent"}
          strokeDasharray={`${share * around} ${around}`}
        />
      </svg>
      <span className="max-sm:sr-only">{t("context.text", counts)}</span>
    </div>
  );
}
