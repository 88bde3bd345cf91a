import { useLayoutEffect, useRef, type KeyboardEvent, type SubmitEvent } from "react";

import { IconButton } from "@/components/button";
import { ArrowUpIcon, StopIcon } from "@/components/icons";
import { useChat } from "@/features/chat/chat-context";
import { draftKey, isBusy } from "@/features/chat/chat-state";
import { NoticeLine } from "@/features/chat/notice-line";

interface ComposerProps {
  /** Why nothing can be sent now, or null. */
  hold: string | null;
}

const round = "size-9 rounded-full";

export function Composer({ hold }: ComposerProps) {
  const sessionId = useChat((state) => state.sessionId);
  const draft = useChat((state) => state.drafts[draftKey(state.sessionId)] ?? "");
  const phase = useChat((state) => state.phase);
  const busy = useChat(isBusy);
  const stopping = useChat((state) => state.stopping);
  const send = useChat((state) => state.send);
  const stop = useChat((state) => state.stop);
  const setDraft = useChat((state) => state.setDraft);
  const input = useRef<HTMLTextAreaElement>(null);

  useLayoutEffect(() => {
    const area = input.current;
    if (!area) return;
    area.style.height = "auto";
    area.style.height = `${area.scrollHeight}px`;
  }, [draft]);

  // A finger would get the keyboard over half of the page at every change of chat.
  useLayoutEffect(() => {
    if (matchMedia("(pointer: fine)").matches) input.current?.focus();
  }, [sessionId]);

  const ready = !busy && hold === null && phase === "ready" && draft.trim() !== "";
  const submit = (event?: SubmitEvent) => {
    event?.preventDefault();
    if (ready) void send(draft);
  };
  const keyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    // While an input method composes, Enter takes its suggestion.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    submit();
  };

  return (
    <div className="reading-column pb-3">
      <NoticeLine />
      <form
        onSubmit={submit}
        className="flex items-end gap-2 rounded-[1.375rem] border border-line-strong bg-raised p-1.5 transition-colors focus-within:border-line-bold"
      >
        <label htmlFor="message" className="sr-only">
          Message
        </label>
        <textarea
          ref={input}
          id="message"
          rows={1}
          value={draft}
          placeholder="Write a message"
          enterKeyHint="send"
          onChange={(event) => {
            setDraft(event.target.value);
          }}
          onKeyDown={keyDown}
          className="max-h-[min(40dvh,15rem)] min-h-9 flex-1 resize-none bg-transparent px-3 py-1.5 placeholder:text-faint focus:outline-none"
        />
        {busy ? (
          <IconButton
            label="Stop"
            look="plain"
            className={round}
            disabled={stopping}
            onClick={() => void stop()}
          >
            <StopIcon className="size-5" />
          </IconButton>
        ) : (
          <IconButton label="Send" type="submit" look="accent" className={round} disabled={!ready}>
            <ArrowUpIcon />
          </IconButton>
        )}
      </form>
      <p className="mt-2 min-h-5 text-center text-xs leading-5 text-faint tabular-nums">
        {hold ?? "Replies are written on this machine, and can be wrong."}
      </p>
    </div>
  );
}
