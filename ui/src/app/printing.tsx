import { useCallback } from "react";
import { useTranslation } from "react-i18next";

import type { Stores } from "@/app/compose";
import { branchTo } from "@/features/chat/state/branch";
import { inputId } from "@/features/chat/components/composer";
import { PrintSheet } from "@/features/exports/print-sheet";
import type { WholeChat } from "@/features/exports/whole-chat";
import { sessionTitle } from "@/features/sessions/session-title";

interface PrintingProps {
  stores: Stores;
  /** The chat that is to be printed now. */
  asked: WholeChat | null;
  onDone: () => void;
}

/** Chats on paper: one of the list, or the open one by the browser's own command. */
export function Printing({ stores, asked, onDone }: PrintingProps) {
  const { t } = useTranslation();
  const current = useCallback((): WholeChat | null => {
    const { sessionId, messages, leafId } = stores.chat.getState();
    const session = stores.sessions.getState().sessions.find(({ id }) => id === sessionId);
    const branch = branchTo(messages, leafId).filter(({ role }) => role !== "system");
    // Other views are printed as they are.
    if (branch.length === 0 || !document.getElementById(inputId)) return null;
    return { title: session ? sessionTitle(session, t) : t("app.chat"), messages: branch };
  }, [stores, t]);
  return <PrintSheet asked={asked} current={current} onDone={onDone} />;
}
