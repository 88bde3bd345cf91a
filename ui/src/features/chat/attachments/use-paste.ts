import type { ClipboardEvent } from "react";
import { useTranslation } from "react-i18next";

import { useChat, useChatStore } from "@/features/chat/state/chat-context";
import { draftKey } from "@/features/chat/state/chat-state";

/** Characters from which on pasted text becomes a file: what is longer hides the message. */
const long = 4000;

/** Files that are pasted are attached, and so is long text. */
export function usePaste(): (event: ClipboardEvent) => void {
  const { t } = useTranslation();
  const store = useChatStore();
  const attach = useChat((state) => state.attach);
  return (event) => {
    if (store.getState().temporary) return;
    const text = event.clipboardData.getData("text/plain");
    const files = [...event.clipboardData.files];
    // Office programs add a picture of the text that they copy.
    if (files.length > 0 && text === "") {
      event.preventDefault();
      attach(files);
    } else if (text.length >= long) {
      event.preventDefault();
      const { attached, sessionId } = store.getState();
      const others = (attached[draftKey(sessionId)] ?? []).map(({ name }) => name);
      const name = (number: number) =>
        `${t("attachments.pasted")}${number > 1 ? ` ${number}` : ""}.txt`;
      let number = 1;
      while (others.includes(name(number))) number += 1;
      attach([new File([text], name(number), { type: "text/plain" })]);
    }
  };
}
