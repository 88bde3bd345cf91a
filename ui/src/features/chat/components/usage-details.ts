import type { TFunction } from "i18next";

import type { Message, Usage } from "@/api/types";
import { formatCount, formatRate, formatSeconds, formatTokens } from "@/lib/format";

function speedOf({ completion_tokens, decode_seconds }: Usage): string | null {
  if (decode_seconds <= 0 || completion_tokens <= 1) return null;
  return formatRate(completion_tokens / decode_seconds);
}

function firstTokenOf({ completion_tokens, queued_seconds, prefill_seconds }: Usage): string | null {
  return completion_tokens > 0 ? formatSeconds(queued_seconds + prefill_seconds) : null;
}

/** How many messages the model did not see, and why; null: it saw all. */
export function droppedText(usage: Usage, t: TFunction): string | null {
  const { dropped_messages: count, dropped_by: by } = usage;
  if (count === 0) return null;
  const left = t("ending.dropped", { count, formatted: formatCount(count) });
  return by === null || by === undefined ? left : `${left} ${t(`ending.droppedBy.${by}`)}`;
}

/** Who wrote a reply, and its figures, most important first: a narrow screen shows only some. */
export function replySummary(
  { edited, usage }: Message,
  model: string | null,
  t: TFunction,
): string[] {
  const figures = usage ? usageSummary(usage, t) : [];
  return [edited ? t("messages.edited") : null, model, ...figures].filter((part) => part !== null);
}

function usageSummary(usage: Usage, t: TFunction): string[] {
  const time = firstTokenOf(usage);
  return [
    speedOf(usage),
    formatTokens(usage.completion_tokens),
    usage.cached_tokens > 0 ? t("figures.cached", { formatted: formatCount(usage.cached_tokens) }) : null,
    time === null ? null : t("figures.first", { time }),
  ].filter((figure) => figure !== null);
}

/** All usage figures of a reply, by name. */
export function usageDetails({ edited, model, usage }: Message, t: TFunction): [string, string][] {
  const rows: [string, string | null][] = [
    [t("figures.model"), model],
    [t("messages.version"), edited ? t("messages.editedByPerson") : null],
  ];
  if (usage) {
    const { cached_tokens, cached_from, dropped_messages, n_ctx } = usage;
    const source = cached_from === null ? "" : ` (${t(`figures.from.${cached_from}`)})`;
    rows.push(
      [t("figures.speed"), speedOf(usage)],
      [t("figures.firstToken"), firstTokenOf(usage)],
      [t("figures.written"), formatTokens(usage.completion_tokens)],
      [t("figures.prompt"), formatTokens(usage.prompt_tokens)],
      [t("figures.reused"), cached_tokens > 0 ? `${formatTokens(cached_tokens)}${source}` : null],
      [t("figures.queued"), usage.queued_seconds >= 0.05 ? formatSeconds(usage.queued_seconds) : null],
      [t("figures.read"), formatSeconds(usage.prefill_seconds)],
      [t("figures.context"), n_ctx === null ? null : formatTokens(n_ctx)],
      [
        t("figures.left"),
        dropped_messages > 0
          ? t("figures.leftOut", {
              count: dropped_messages,
              formatted: formatCount(dropped_messages),
            })
          : null,
      ],
      [t("figures.seed"), String(usage.seed)],
    );
  }
  return rows.filter((row): row is [string, string] => row[1] !== null);
}
