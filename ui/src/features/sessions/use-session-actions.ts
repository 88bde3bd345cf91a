import { useTranslation } from "react-i18next";

import type { ImportReport, Session } from "@/api/types";
import { useNotify } from "@/components/toasts";
import { sessionTitle } from "@/features/sessions/session-title";
import { useSessions } from "@/features/sessions/sessions-context";
import { giveFile, takeFiles } from "@/lib/bridge";
import { fileName } from "@/lib/save-file";

export interface SessionActions {
  rename: (session: Session, title: string) => void;
  togglePin: (session: Session) => void;
  /** null: out of their folders. */
  move: (sessions: readonly Session[], folderId: string | null) => void;
  /** New chats in its folder begin with the settings of this one. */
  useForFolder: (session: Session) => void;
  /** One chat, several in one file, or all. */
  download: (sessions: readonly Session[] | null) => void;
  /** Asks for files with chats; `onMade` receives the id of the first new session. */
  upload: (onMade: (sessionId: string) => void) => void;
  /** Reports a deletion and offers Undo; `onBack` is called once the sessions are restored. */
  offerUndo: (sessions: readonly Session[], onBack: () => void) => void;
}

/** The actions for sessions; they report failures, and successes that are not visible. */
export function useSessionActions(): SessionActions {
  const { t } = useTranslation();
  const notify = useNotify();
  const change = useSessions((state) => state.change);
  const restore = useSessions((state) => state.restore);
  const exportFile = useSessions((state) => state.exportFile);
  const exportMany = useSessions((state) => state.exportMany);
  const folders = useSessions((state) => state.folders);
  const changeFolder = useSessions((state) => state.changeFolder);
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
  const report = ({ imported, already_here: known, failed }: ImportReport) => {
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
  };
  return {
    rename(session, title) {
      void attempt(t("sessions.notChanged"), () => change(session.id, { title }));
    },
    togglePin(session) {
      void attempt(t("sessions.notChanged"), () => change(session.id, { pinned: !session.pinned }));
    },
    move(sessions, folderId) {
      const moved = sessions.filter(({ folder_id: id }) => (id ?? null) !== folderId);
      void attempt(t("sessions.notChanged"), async () => {
        for (const { id } of moved) await change(id, { folder_id: folderId });
      });
    },
    useForFolder({ folder_id: id, settings }) {
      const folder = folders.find((one) => one.id === id);
      if (!folder) return;
      void attempt(t("folders.notSaved"), async () => {
        await changeFolder(folder.id, { settings });
        notify({ text: t("folders.settingsUsed", { name: folder.name }) });
      });
    },
    download(sessions) {
      void attempt(t("sessions.notExported"), async () => {
        const [first, ...others] = sessions ?? [];
        if (first && others.length === 0) {
          await giveFile(fileName(sessionTitle(first, t), "json"), await exportFile(first.id));
        } else {
          const ids = sessions?.map(({ id }) => id) ?? null;
          await giveFile(fileName(t("sessions.label"), "json"), await exportMany(ids));
        }
      });
    },
    upload(onMade) {
      void attempt(t("sessions.notImported"), async () => {
        const files = await takeFiles();
        if (files.length === 0) return;
        const whole: ImportReport = { imported: [], already_here: 0, skipped: [], failed: [] };
        for (const { name, content } of files) {
          try {
            const { imported, already_here, failed } = await importFile(name, content);
            whole.imported.push(...imported);
            whole.already_here += already_here;
            whole.failed.push(...failed);
          } catch (error) {
            if (files.length === 1) throw error;
            whole.failed.push({ file: name, reason: `${name}: ${String(error)}` });
          }
        }
        report(whole);
        if (whole.imported[0]) onMade(whole.imported[0].id);
      });
    },
    offerUndo(sessions, onBack) {
      const undo = () =>
        void attempt(t("sessions.notRestored"), async () => {
          for (const { id } of sessions) await restore(id);
          onBack();
        });
      const [first] = sessions;
      const title = first ? sessionTitle(first, t) : "";
      notify({
        text: t("sessions.deleted", { count: sessions.length, title }),
        action: { label: t("sessions.undo"), run: undo },
      });
    },
  };
}
