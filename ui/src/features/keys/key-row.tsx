import type { TFunction } from "i18next";
import { useTranslation } from "react-i18next";

import type { ApiKey } from "@/api/types";
import { Badge } from "@/components/badge";
import { Button } from "@/components/button";
import { formatAgo, formatCount, formatDay } from "@/lib/format";
import { useNow } from "@/lib/use-now";

interface KeyRowProps {
  apiKey: ApiKey;
  onRevoke: () => void;
}

export function KeyRow({ apiKey, onRevoke }: KeyRowProps) {
  const { t } = useTranslation();
  const now = useNow(30_000);
  const { name, prefix, scope, source } = apiKey;
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 px-4 py-3">
      <div className="min-w-0 flex-1 basis-64">
        <p className="flex flex-wrap items-center gap-2">
          <span className="font-medium wrap-anywhere">{name}</span>
          <Badge>{t(`keys.scopes.${scope}`)}</Badge>
          {source === "config" && <Badge>{t("keys.fromFile")}</Badge>}
        </p>
        <p className="mt-0.5 text-[0.8125rem] text-faint tabular-nums">
          {prefix !== "" && <span className="font-mono">{prefix}… · </span>}
          {factsOf(apiKey, now, t).join(" · ")}
        </p>
      </div>
      {source === "vault" && (
        <Button onClick={onRevoke} aria-label={t("keys.revokeOf", { name })}>
          {t("keys.revoke")}
        </Button>
      )}
    </li>
  );
}

function factsOf(apiKey: ApiKey, now: number, t: TFunction): string[] {
  const { rpm, expires_at, last_used_at } = apiKey;
  const facts = [
    last_used_at === null
      ? t("keys.neverUsed")
      : t("keys.lastUsed", { time: formatAgo(last_used_at, now) }),
  ];
  if (expires_at !== null) {
    const over = expires_at <= now;
    facts.push(over ? t("keys.expired") : t("keys.until", { time: formatDay(expires_at) }));
  }
  if (rpm !== null && rpm > 0) facts.push(t("keys.perMinute", { formatted: formatCount(rpm) }));
  return facts;
}
