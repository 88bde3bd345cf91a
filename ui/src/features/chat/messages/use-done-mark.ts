import { useEffect } from "react";
import { useTranslation } from "react-i18next";

import { plainText } from "@/features/chat/components/announcements";
import { useChatStore } from "@/features/chat/state/chat-context";
import { isBusy, type ChatState } from "@/features/chat/state/chat-state";
import { isNotifying, showNotification } from "@/lib/notifications";

/** Replies that take no longer are waited for. */
const longMs = 5000;
const longestText = 140;
const mark = "● ";

/** Marks the page's title when a reply ends while the page is hidden; notifies, if that is switched on. */
export function useDoneMark() {
  const { t } = useTranslation();
  const store = useChatStore();
  useEffect(() => {
    let began = Date.now();
    const stop = store.subscribe((now, before) => {
      if (isBusy(now) && !isBusy(before)) began = Date.now();
      const ended = !isBusy(now) && isBusy(before) && now.sessionId === before.sessionId;
      if (!ended || document.visibilityState !== "hidden") return;
      if (!document.title.startsWith(mark)) document.title = mark + document.title;
      if (Date.now() - began < longMs || !isNotifying()) return;
      showNotification(t("messages.done"), textOf(now));
    });
    const seen = () => {
      if (document.visibilityState === "hidden" || !document.title.startsWith(mark)) return;
      document.title = document.title.slice(mark.length);
    };
    document.addEventListener("visibilitychange", seen);
    return () => {
      stop();
      document.removeEventListener("visibilitychange", seen);
    };
  }, [store, t]);
}

/** The beginning of the last reply. */
function textOf({ messages, leafId }: ChatState): string {
  const text = plainText((leafId === null ? undefined : messages[leafId])?.content ?? "");
  return text.length > longestText ? `${text.slice(0, longestText)}…` : text;
}
