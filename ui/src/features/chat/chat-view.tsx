import { useEffect, useLayoutEffect, useState, type ReactNode } from "react";

import { Button, IconButton } from "@/components/button";
import { ArrowDownIcon } from "@/components/icons";
import { useChat } from "@/features/chat/chat-context";
import { isBusy } from "@/features/chat/chat-state";
import { Composer } from "@/features/chat/composer";
import { EmptyChat } from "@/features/chat/empty-chat";
import { MessageList } from "@/features/chat/message-list";
import { useFollowEnd } from "@/features/chat/use-follow-end";

interface ChatViewProps {
  /** Why nothing can be sent now, or null. */
  hold: string | null;
  /** What is to be said about the model before the first message. */
  about: ReactNode;
  /** Whether there is a model to ask at all. */
  able: boolean;
  onNewChat: () => void;
}

/** One chat: what was said, and the input. */
export function ChatView({ hold, about, able, onNewChat }: ChatViewProps) {
  const sessionId = useChat((state) => state.sessionId);
  const phase = useChat((state) => state.phase);
  const pending = useChat((state) => state.pending);
  const empty = useChat((state) => state.leafId === null && !isBusy(state));
  const { scroller, content, away, jump } = useFollowEnd();

  useStopOnEscape();
  // Opening a chat and sending both lead to the newest words.
  useLayoutEffect(jump, [jump, sessionId, phase, pending !== null]);

  return (
    <section aria-label="Chat" className="flex min-h-0 flex-1 flex-col">
      <div className="soft-edges min-h-0 flex-1">
        <div
          ref={scroller}
          tabIndex={0}
          role="group"
          aria-label="Messages"
          className="even-gutters h-full overflow-y-auto outline-offset-[-2px]"
        >
          <div ref={content} className="reading-column flex min-h-full flex-col">
            {phase === "ready" && !empty && <MessageList />}
            {phase === "ready" && empty && (
              <EmptyChat held={hold !== null} about={about} able={able} />
            )}
            {phase === "missing" && <Missing onNewChat={onNewChat} />}
            {phase === "failed" && <NotRead />}
          </div>
        </div>
      </div>
      <div className="relative">
        {away && (
          <IconButton
            label="Jump to newest"
            look="plain"
            className="absolute -top-12 left-1/2 -translate-x-1/2 animate-arrive rounded-full shadow-float"
            onClick={jump}
          >
            <ArrowDownIcon />
          </IconButton>
        )}
        <Composer hold={hold} />
      </div>
      <Announcements />
    </section>
  );
}

function useStopOnEscape() {
  const stop = useChat((state) => state.stop);
  const busy = useChat(isBusy);
  useEffect(() => {
    if (!busy) return;
    const pressed = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      // There Esc closes the dialog.
      if (document.querySelector("dialog[open]")) return;
      void stop();
    };
    window.addEventListener("keydown", pressed);
    return () => {
      window.removeEventListener("keydown", pressed);
    };
  }, [busy, stop]);
}

/** For those who listen: that a reply is written and that it ended, not each of its words. */
function Announcements() {
  const busy = useChat(isBusy);
  const [wasBusy, setWasBusy] = useState(busy);
  const [said, setSaid] = useState("");
  if (busy !== wasBusy) {
    setWasBusy(busy);
    setSaid(busy ? "A reply is being written." : "The reply has ended.");
  }
  return (
    <p role="status" className="sr-only">
      {said}
    </p>
  );
}

function Missing({ onNewChat }: { onNewChat: () => void }) {
  return (
    <div className="flex flex-col items-start py-16">
      <h2 className="text-xl font-semibold">This chat is not here any more</h2>
      <p className="mt-2 mb-5 text-muted">It was deleted, or its address is wrong.</p>
      <Button onClick={onNewChat}>Start a new chat</Button>
    </div>
  );
}

function NotRead() {
  const notice = useChat((state) => state.notice);
  const reload = useChat((state) => state.reload);
  return (
    <div className="flex flex-col items-start py-16">
      <h2 className="text-xl font-semibold">This chat could not be read</h2>
      <p className="mt-2 mb-5 text-muted">
        {notice?.message}
        {notice?.code === "unreachable" && " The chat opens by itself when the server is back."}
      </p>
      {notice?.code !== "unreachable" && <Button onClick={reload}>Try again</Button>}
    </div>
  );
}
