import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { listDeleted, purgeDeleted } from "@/api/organizing";
import type { DeletedSessions } from "@/api/types";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { sessionTitle } from "@/features/sessions/session-title";
import { useSessions } from "@/features/sessions/sessions-context";
import { formatDay, formatDuration } from "@/lib/format";

/** The chats that were deleted: each can be restored, or removed for good. */
export function DeletedDialog({ onClose }: { onClose: () => void }) {
  const { t } = useTranslation();
  const restore = useSessions((state) => state.restore);
  const [deleted, setDeleted] = useState<DeletedSessions | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [emptying, setEmptying] = useState(false);

  const attempt = async (act: () => Promise<unknown>) => {
    try {
      setFailure(null);
      await act();
      setDeleted(await listDeleted());
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };
  useEffect(() => {
    listDeleted().then(setDeleted, (error: unknown) => {
      setFailure(String(error));
    });
  }, []);

  const chats = deleted?.sessions ?? [];
  return (
    <Dialog
      title={t("deleted.title")}
      onClose={onClose}
      actions={
        <>
          {chats.length > 0 && (
            <Button
              variant={emptying ? "danger" : "plain"}
              className="me-auto"
              onClick={() => {
                if (emptying) void attempt(() => purgeDeleted());
                setEmptying(!emptying);
              }}
            >
              {emptying ? t("deleted.emptySure") : t("deleted.empty")}
            </Button>
          )}
          <Button onClick={onClose}>{t("app.close")}</Button>
        </>
      }
    >
      {deleted && (
        <p>
          {chats.length === 0
            ? t("deleted.none")
            : t("deleted.kept", { time: formatDuration(deleted.keep_seconds) })}
        </p>
      )}
      {failure !== null && (
        <p role="alert" className="mt-3 text-danger">
          {t("deleted.failed")} {failure}
        </p>
      )}
      <ul className="-mx-2 mt-2 max-h-[50dvh] overflow-y-auto">
        {chats.map((chat) => (
          <li
            key={chat.id}
            className="flex items-center justify-end rounded-control px-2 py-1 [content-visibility:auto] hover:bg-hover max-sm:flex-wrap"
          >
            <div className="min-w-0 flex-1 max-sm:basis-full">
              <p dir="auto" className="truncate text-text">
                {sessionTitle(chat, t)}
              </p>
              <p className="text-xs text-faint">
                {t(chat.expired ? "deleted.expired" : "deleted.at", {
                  day: formatDay(chat.deleted_at),
                })}
              </p>
            </div>
            <Button variant="quiet" onClick={() => void attempt(() => restore(chat.id))}>
              {t("deleted.restore")}
            </Button>
            <Button
              variant="quiet"
              className="text-danger"
              onClick={() => void attempt(() => purgeDeleted(chat.id))}
            >
              {t("deleted.forGood")}
            </Button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
