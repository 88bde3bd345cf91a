import { useTranslation } from "react-i18next";

import type { Session } from "@/api/types";
import { useNotify } from "@/components/toasts";
import { sessionTitle } from "@/features/sessions/session-title";
import { useSessions } from "@/features/sessions/sessions-context";
import { giveFile, takeFile } from "@/lib/bridge";
import { fileName } from "@/lib/save-file";

export interface SessionActions {
  rename: (session: Session, title: string) => void;
  togglePin: (session: Session) => void;
  download: (session: Session) => void;
  /** Asks for a file with chats; `onMade` receives the id of the first new session. */
  upload: (onMade: (sessionId: string) => void) => void;
  /** Reports a deletion and offers Undo; `onBack` receives the id of the restored session. */
  offerUndo: (session: Session, onBack: (sessionId: string) => void) => void;
}

/** The actions for a session; they report failures, and successes that are not visible. */
export function useSessionActions(): SessionActions {
  const { t } = useTranslation();
  const notify = useNotify();
  const change = useSessions((state) => state.change);
  const restore = useSessions((state) => state.restore);
  const exportFile = useSessions((state) => state.exportFile);
  const importFile = useSessions((state) => state.importFile);

  const attempt = async (failure: string, act: () => Promise<void>) => {
    try {
      await act();
    } catch (error) {
      // The message of a SyntaxError is not meant for users.
      const reason = error instanceof Error && !(error instanceof SyntaxError) ? error.message : "";
      notify({ text: `${failure} ${reason}`.trim() });
    }
  };
  return {
    rename(session, title) {
      void attempt(t("sessions.notChanged"), () => change(session.id, { title }));
    },
    togglePin(session) {
      void attempt(t("sessions.notChanged"), () => change(session.id, { pinned: !session.pinned }));
    },
    download(session) {
      void attempt(t("sessions.notExported"), async () => {
        await giveFile(fileName(sessionTitle(session, t), "json"), await exportFile(session.id));
      });
    },
    upload(onMade) {
      void attempt(t("sessions.notImported"), async () => {
        const file = await takeFile();
        if (!file) return;
        const { imported, already_here: known, failed } = await importFile(file);
        const texts: string[] = [];
        if (imported[0]) {
          const title = sessionTitle(imported[0], t);
          texts.push(t("sessions.imported", { count: imported.length, title }));
        }
        if (known > 0) texts.push(t("sessions.knownBefore", { count: known }));
        if (failed[0]) texts.push(`${t("sessions.notImported")} ${failed[0].reason}`);
        if (failed.length > 1) texts.push(t("sessions.failedMore", { count: failed.length - 1 }));
        if (texts.length === 0) texts.push(t("sessions.noChats"));
        notify({ text: texts.join(" ") });
        if (imported[0]) onMade(imported[0].id);
      });
    },
    offerUndo(session, onBack) {
      const undo = () =>
        void attempt(t("sessions.notRestored"), async () => {
          const { id } = await restore(session.id);
          onBack(id);
        });
      notify({
        text: t("sessions.deleted", { title: sessionTitle(session, t) }),
        action: { label: t("sessions.undo"), run: undo },
      });
    },
  };
}
