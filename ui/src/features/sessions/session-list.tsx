import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import type { Session } from "@/api/types";
import { Button } from "@/components/button";
import { DeleteDialog } from "@/features/sessions/delete-dialog";
import { groupByDay } from "@/features/sessions/group-by-day";
import { SessionRow } from "@/features/sessions/session-row";
import { useSessions } from "@/features/sessions/sessions-context";
import { useSessionActions } from "@/features/sessions/use-session-actions";
import { useNow } from "@/lib/use-now";

interface SessionListProps {
  activeId: string | null;
  hrefOf: (sessionId: string) => string;
  /** A chat was chosen, possibly the open one. */
  onOpen: () => void;
  onDeleted: (sessionId: string) => void;
  /** A chat that was open when it was deleted has been restored. */
  onBack: (sessionId: string) => void;
}

/** The chats by day, each with its actions. */
export function SessionList({ activeId, hrefOf, onOpen, onDeleted, onBack }: SessionListProps) {
  const { t } = useTranslation();
  const sessions = useSessions((state) => state.sessions);
  const remove = useSessions((state) => state.remove);
  const actions = useSessionActions();
  const [toDelete, setToDelete] = useState<Session | null>(null);
  const list = useRef<HTMLElement>(null);
  // "Today" becomes "Yesterday" while the page stays open.
  const now = useNow(60_000);

  const deleteSession = async (session: Session) => {
    const wasOpen = session.id === activeId;
    await remove(session.id);
    setToDelete(null);
    // The focused button was removed with its row.
    list.current?.focus();
    onDeleted(session.id);
    actions.offerUndo(session, (id) => {
      if (wasOpen) onBack(id);
    });
  };

  return (
    <nav
      ref={list}
      aria-label={t("sessions.label")}
      tabIndex={-1}
      className="min-h-0 flex-1 overflow-y-auto px-2 pb-4 focus:outline-none"
    >
      <EmptyList />
      {groupByDay(sessions, new Date(now), t).map((group) => (
        <section key={group.label} aria-label={group.label}>
          <h2 className="px-3 pt-4 pb-1 text-xs font-medium text-faint">{group.label}</h2>
          <ul className="flex flex-col gap-px">
            {group.sessions.map((session) => (
              <li key={session.id}>
                <SessionRow
                  session={session}
                  active={session.id === activeId}
                  href={hrefOf(session.id)}
                  onOpen={onOpen}
                  onRename={(title) => {
                    actions.rename(session, title);
                  }}
                  onPin={() => {
                    actions.togglePin(session);
                  }}
                  onExport={() => {
                    actions.download(session);
                  }}
                  onDelete={() => {
                    setToDelete(session);
                  }}
                />
              </li>
            ))}
          </ul>
        </section>
      ))}
      {toDelete && (
        <DeleteDialog
          session={toDelete}
          onCancel={() => {
            setToDelete(null);
          }}
          onDelete={() => deleteSession(toDelete)}
        />
      )}
    </nav>
  );
}

/** Shown in place of an empty list. */
function EmptyList() {
  const { t } = useTranslation();
  const phase = useSessions((state) => state.phase);
  const none = useSessions((state) => state.sessions.length === 0);
  const load = useSessions((state) => state.load);
  if (phase === "failed") {
    return (
      <div className="px-3 pt-4 text-sm text-muted">
        <p>{t("sessions.notRead")}</p>
        <Button className="mt-3" onClick={() => void load()}>
          {t("app.tryAgain")}
        </Button>
      </div>
    );
  }
  if (phase !== "ready" || !none) return null;
  return <p className="px-3 pt-4 text-sm text-faint">{t("sessions.none")}</p>;
}
