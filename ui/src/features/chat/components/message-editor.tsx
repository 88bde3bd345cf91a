import { useLayoutEffect, useRef, useState, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";

import type { Message } from "@/api/types";
import { Button } from "@/components/button";
import { useChat } from "@/features/chat/state/chat-context";
import { classNames } from "@/lib/class-names";
import { isComposing, isSendKey } from "@/lib/typing/keys";
import { useTextArea } from "@/lib/typing/use-text-area";

/** Edits a message or a reply in place; sending or saving it creates another version. */
export function MessageEditor({ message }: { message: Message }) {
  const { t } = useTranslation();
  const [text, setText] = useState(message.content);
  const startEdit = useChat((state) => state.startEdit);
  const sendEdit = useChat((state) => state.sendEdit);
  const input = useRef<HTMLTextAreaElement>(null);

  const { long, dir, typed } = useTextArea(input, text);

  useLayoutEffect(() => {
    const area = input.current;
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }, []);

  const ofReply = message.role === "assistant";
  const submit = () => void sendEdit(message.id, text);
  const keyDown = (event: KeyboardEvent) => {
    const { nativeEvent: pressed } = event;
    if (isComposing(pressed)) return;
    const saves = event.key === "Enter" && (event.ctrlKey || event.metaKey);
    if (ofReply ? saves : isSendKey(pressed)) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape") {
      event.preventDefault();
      startEdit(null);
    }
  };
  return (
    <div className="rounded-panel border border-line-strong bg-raised p-1.5">
      <textarea
        ref={input}
        aria-label={ofReply ? t("messages.editingReply") : t("actions.editing")}
        rows={1}
        dir={dir}
        onChange={(event) => {
          typed(event.target.value);
          setText(event.target.value);
        }}
        onKeyDown={keyDown}
        className={classNames(
          "max-h-[50dvh] w-full resize-none bg-transparent px-2.5 py-1 focus:outline-none",
          long ? "h-[50dvh]" : "field-sizing-content",
        )}
      />
      <div className="flex items-center justify-end gap-2">
        <p className="me-auto min-w-0 px-2.5 text-xs text-faint">
          {ofReply ? t("messages.editReplyHint") : t("actions.editHint")}
        </p>
        <Button
          variant="quiet"
          onClick={() => {
            startEdit(null);
          }}
        >
          {t("app.cancel")}
        </Button>
        <Button
          variant="accent"
          disabled={text.trim() === "" && !message.attachments?.length}
          onClick={submit}
        >
          {ofReply ? t("messages.save") : t("actions.sendEdit")}
        </Button>
      </div>
    </div>
  );
}
