import { useTranslation } from "react-i18next";

import type { Session } from "@/api/types";
import { useNotify } from "@/components/toasts";
import { chatMarkdown } from "@/features/exports/chat-markdown";
import { readChat, type WholeChat } from "@/features/exports/whole-chat";
import { giveFile } from "@/lib/bridge";
import { fileName } from "@/lib/save-file";

export type ExportFormat = "markdown" | "pdf";

/** Gives a chat away as a file, or hands it over to be printed. */
export function useExports(
  onPrint: (chat: WholeChat) => void,
): (session: Session, format: ExportFormat) => void {
  const { t } = useTranslation();
  const notify = useNotify();
  const give = async (session: Session, format: ExportFormat) => {
    const title = session.title === "" ? t("sessions.untitled") : session.title;
    const chat = await readChat(session, title);
    if (format === "pdf") onPrint(chat);
    else {
      const text = chatMarkdown(chat, t);
      await giveFile(fileName(title, "md"), new Blob([text], { type: "text/markdown" }));
    }
  };
  return (session, format) => {
    give(session, format).catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : "";
      notify({ text: `${t("sessions.notExported")} ${reason}`.trim() });
    });
  };
}
