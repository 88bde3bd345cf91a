import { useLayoutEffect, useRef, type KeyboardEvent, type ReactNode, type SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import { IconButton } from "@/components/button";
import { ArrowUpIcon, StopIcon } from "@/components/icons";
import { branchTo } from "@/features/chat/state/branch";
import { useChat, useChatStore } from "@/features/chat/state/chat-context";
import {
  draftKey,
  hasFiles,
  isBusy,
  isUploading,
  type ChatState,
} from "@/features/chat/state/chat-state";
import { ContextMeter } from "@/features/chat/components/context-meter";
import { AttachButton } from "@/features/chat/attachments/attach-button";
import { DraftFiles } from "@/features/chat/attachments/chips";
import { Footnote } from "@/features/chat/components/footnote";
import { usePaste } from "@/features/chat/attachments/use-paste";
import { NoticeLine } from "@/features/chat/components/notice-line";
import { TemporaryMark } from "@/features/chat/components/temporary-mark";
import { classNames } from "@/lib/class-names";
import { isComposing, isSendKey, isTouched } from "@/lib/typing/keys";
import { useTextArea } from "@/lib/typing/use-text-area";

interface ComposerProps {
  /** Why nothing can be sent now, or null. */
  hold: string | null;
  presets: ReactNode;
}

const round = "size-9 rounded-full";

/** The id of the input, for commands. */
export const inputId = "message";

export function Composer({ hold, presets }: ComposerProps) {
  const { t } = useTranslation();
  const sessionId = useChat((state) => state.sessionId);
  const draft = useChat((state) => state.drafts[draftKey(state.sessionId)] ?? "");
  const phase = useChat((state) => state.phase);
  const busy = useChat(isBusy);
  const uploading = useChat(isUploading);
  const withFiles = useChat(hasFiles);
  const paste = usePaste();
  const stopping = useChat((state) => state.stopping);
  const store = useChatStore();
  const send = useChat((state) => state.send);
  const stop = useChat((state) => state.stop);
  const startEdit = useChat((state) => state.startEdit);
  const setDraft = useChat((state) => state.setDraft);
  const input = useRef<HTMLTextAreaElement>(null);

  const { long, dir, typed } = useTextArea(input, draft);

  // On a touch screen, the keyboard would cover half of the page whenever a chat is opened.
  useLayoutEffect(() => {
    if (matchMedia("(pointer: fine)").matches) input.current?.focus();
  }, [sessionId]);

  const ready =
    !busy && hold === null && phase === "ready" && !uploading && (withFiles || /\S/.test(draft));
  const submit = (event?: SubmitEvent) => {
    event?.preventDefault();
    if (ready) void send(draft);
  };
  const keyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (isSendKey(event.nativeEvent)) {
      event.preventDefault();
      submit();
    } else if (event.key === "ArrowUp" && draft === "" && !event.shiftKey && !isComposing(event.nativeEvent)) {
      const lastOwnId = lastOwnMessage(store.getState());
      if (lastOwnId === null) return;
      event.preventDefault();
      startEdit(lastOwnId);
    }
  };

  return (
    <div className="reading-column pb-3">
      <NoticeLine />
      <TemporaryMark />
      <form
        onSubmit={submit}
        className="rounded-[1.375rem] border border-line-strong bg-raised p-1.5 transition-colors focus-within:border-line-bold"
      >
        <DraftFiles />
        <div className="flex items-end gap-1">
          <AttachButton onChosen={() => input.current?.focus()} />
          <label htmlFor={inputId} className="sr-only">
            {t("chat.message")}
          </label>
          <textarea
            ref={input}
            id={inputId}
            rows={1}
            dir={dir}
            placeholder={t("chat.placeholder")}
            enterKeyHint={isTouched() ? "enter" : "send"}
            onChange={(event) => {
              typed(event.target.value);
              setDraft(event.target.value);
            }}
            onKeyDown={keyDown}
            onPaste={paste}
            className={classNames(
              "max-h-[min(40dvh,15rem)] min-h-9 flex-1 resize-none bg-transparent px-1.5 py-1.5 placeholder:text-faint focus:outline-none",
              long ? "h-[min(40dvh,15rem)]" : "field-sizing-content",
            )}
          />
          {busy ? (
            <IconButton
              label={t("chat.stop")}
              variant="plain"
              className={round}
              disabled={stopping}
              onClick={() => void stop()}
            >
              <StopIcon className="size-5" />
            </IconButton>
          ) : (
            <IconButton
              label={t("chat.send")}
              type="submit"
              variant="accent"
              className={round}
              disabled={!ready}
            >
              <ArrowUpIcon />
            </IconButton>
          )}
        </div>
      </form>
      <div className="mt-2 flex min-h-5 items-center justify-center gap-4 text-xs leading-5 text-faint tabular-nums">
        {presets}
        <p className="min-w-0">{hold ?? <Footnote />}</p>
        <ContextMeter />
      </div>
    </div>
  );
}

function lastOwnMessage({ messages, leafId }: ChatState): string | null {
  return branchTo(messages, leafId).findLast(({ role }) => role === "user")?.id ?? null;
}
