import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { confirmExpiry, restoreSession } from "@/api/endpoints";
import { Button, IconButton } from "@/components/button";
import { AlertIcon, CloseIcon } from "@/components/icons";
import { useStatus } from "@/features/status/status-context";
import { formatDay, formatSeconds } from "@/lib/format";
import { readStored, writeStored } from "@/lib/stored";

const dismissedName = "storage-notice";

interface StorageBannerProps {
  /** Chats that had expired are there again. */
  onRestored: () => void;
}

/** Shown when chats can't be stored, when something was lost, and when chats have expired. */
export function StorageBanner({ onRestored }: StorageBannerProps) {
  const { t } = useTranslation();
  const storage = useStatus((state) => state.server?.storage);
  const probe = useStatus((state) => state.probe);
  const [dismissed, setDismissed] = useState(() => Number(readStored(dismissedName) ?? 0));
  const [busy, setBusy] = useState(false);
  if (!storage) return null;
  const notice = storage.notices.find(({ at }) => at > dismissed);
  const expired = storage.expired;

  async function bringBack() {
    setBusy(true);
    await Promise.allSettled(expired.map((id) => restoreSession(id)));
    setBusy(false);
    probe();
    onRestored();
  }

  async function agree(ttlSeconds: number) {
    setBusy(true);
    await Promise.allSettled([confirmExpiry(ttlSeconds)]);
    setBusy(false);
    probe();
  }

  const expiry = storage.expiry;
  return (
    <>
      {expiry && !expiry.confirmed && (
        <Line
          action={
            <Button disabled={busy} onClick={() => void agree(expiry.ttl_seconds)}>
              {t("storage.confirmExpiry")}
            </Button>
          }
        >
          {t("storage.unconfirmedExpiry", { time: formatSeconds(expiry.ttl_seconds) })}
        </Line>
      )}
      {storage.state !== "ok" && <Line>{t(`storage.${storage.state}`)}</Line>}
      {notice && (
        <Line
          action={
            <IconButton
              label={t("app.dismiss")}
              onClick={() => {
                const newest = Math.max(...storage.notices.map(({ at }) => at));
                writeStored(dismissedName, String(newest));
                setDismissed(newest);
              }}
            >
              <CloseIcon className="size-4" />
            </IconButton>
          }
        >
          {t(`storage.${notice.code}`, { day: formatDay(notice.at) })}{" "}
          <span className="text-muted" lang="en">
            {notice.message}
          </span>
        </Line>
      )}
      {expired.length > 0 && (
        <Line
          action={
            <Button disabled={busy} onClick={() => void bringBack()}>
              {t("storage.bringBack")}
            </Button>
          }
        >
          {t("storage.expired", { count: expired.length })}
        </Line>
      )}
    </>
  );
}

function Line({ children, action }: { children: ReactNode; action?: ReactNode }) {
  return (
    <div className="border-b border-line bg-raised text-sm">
      <div className="flex items-center gap-3 px-4 py-2">
        <AlertIcon className="size-4.5 text-warn" />
        <p role="status" className="min-w-0 flex-1 wrap-anywhere">
          {children}
        </p>
        {action}
      </div>
    </div>
  );
}
