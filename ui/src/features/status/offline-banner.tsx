import { useTranslation } from "react-i18next";

import { Button } from "@/components/button";
import { AlertIcon } from "@/components/icons";
import { useStatus } from "@/features/status/status-context";
import { useNow } from "@/lib/use-now";

/** Shown while the server is unreachable, with the time of the next attempt. */
export function OfflineBanner() {
  const down = useStatus((state) => state.reach === "down");
  return down ? <Banner /> : null;
}

function Banner() {
  const { t } = useTranslation();
  const nextTryAt = useStatus((state) => state.nextTryAt);
  const probe = useStatus((state) => state.probe);
  const now = useNow(500);
  const left = nextTryAt === null ? 0 : Math.ceil((nextTryAt - now) / 1000);
  return (
    <div className="border-b border-line bg-raised text-sm">
      <div className="flex items-center gap-3 px-4 py-2">
        <AlertIcon className="size-4.5 text-warn" />
        <p className="min-w-0 flex-1">
          <span role="status">{t("status.unreachable")}</span>{" "}
          <span className="text-muted tabular-nums">
            {t("status.kept")}{" "}
            {left > 0 ? t("status.againIn", { seconds: left }) : t("status.again")}
          </span>
        </p>
        <Button onClick={probe}>{t("status.tryNow")}</Button>
      </div>
    </div>
  );
}
