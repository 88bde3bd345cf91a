import { useTranslation } from "react-i18next";

import { listRequests } from "@/api/admin";
import type { RecentRequest } from "@/api/types";
import { ViewLoading } from "@/components/view-loading";
import { LoadError } from "@/components/view-page";
import { classNames } from "@/lib/class-names";
import { formatCount, formatSeconds, formatTime } from "@/lib/format";
import { usePolled } from "@/lib/use-polled";

const runningMs = 500;
const idleMs = 2000;

function pollInterval(requests: RecentRequest[] | null): number {
  return requests?.some(({ end }) => end === null) ? runningMs : idleMs;
}

const goodEnds = new Set(["stop", "length", "tool_calls", "cancelled"]);

/** This caller's last requests to models, as they come. */
export function RequestLog() {
  const { t } = useTranslation();
  const { value: requests, error, refresh } = usePolled(listRequests, pollInterval);
  if (error) return <LoadError text={t("developers.notRead")} error={error} onRetry={refresh} />;
  if (!requests) return <ViewLoading />;
  if (requests.length === 0) return <p className="text-sm text-muted">{t("developers.noRequests")}</p>;
  const columns = ["time", "route", "model", "prompt", "reply", "firstToken", "duration", "end"] as const;
  return (
    <div
      tabIndex={0}
      data-wide
      role="group"
      aria-label={t("developers.requests")}
      className="max-h-120 overflow-auto overscroll-contain rounded-panel border border-line outline-offset-[-2px]"
    >
      <table className="w-full border-collapse text-[0.8125rem] tabular-nums">
        <thead className="sticky top-0 bg-bg text-muted">
          <tr>
            {columns.map((name) => (
              <th
                key={name}
                scope="col"
                className={classNames("px-2.5 py-2 font-medium whitespace-nowrap", alignOf(name))}
              >
                {t(`developers.${name}`)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {requests.map((request) => (
            <RequestRow key={`${request.began} ${request.id}`} request={request} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

const numbers = new Set(["prompt", "reply", "firstToken", "duration"]);

function alignOf(column: string): string {
  return numbers.has(column) ? "text-end" : "text-start";
}

function RequestRow({ request }: { request: RecentRequest }) {
  const { t } = useTranslation();
  const { prompt_tokens, cached_tokens, completion_tokens, end, first_token_ms, duration_ms } = request;
  const none = "–";
  const cells: [string, string][] = [
    ["time", formatTime(request.began)],
    ["route", request.route || t("developers.noRoute")],
    ["model", request.model || none],
    [
      "prompt",
      cached_tokens > 0
        ? t("developers.promptCached", {
            tokens: formatCount(prompt_tokens),
            cached: formatCount(cached_tokens),
          })
        : formatCount(prompt_tokens),
    ],
    ["reply", formatCount(completion_tokens)],
    ["firstToken", first_token_ms === null ? none : formatSeconds(first_token_ms / 1000)],
    ["duration", duration_ms === null ? none : formatSeconds(duration_ms / 1000)],
  ];
  return (
    <tr className="border-t border-line">
      {cells.map(([name, value]) => (
        <td
          key={name}
          className={classNames("max-w-40 truncate px-2.5 py-2", alignOf(name))}
          {...(name === "model" ? { title: value } : {})}
        >
          {value}
        </td>
      ))}
      <td
        className={classNames(
          "px-2.5 py-2 whitespace-nowrap",
          end !== null && !goodEnds.has(end) ? "text-warn" : "text-muted",
        )}
      >
        {end ?? t("developers.running")}
      </td>
    </tr>
  );
}
