import { useEffect, useLayoutEffect, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { Button, IconButton } from "@/components/button";
import { ArrowDownIcon } from "@/components/icons";
import { DropZone } from "@/features/chat/attachments/drop-zone";
import { Announcements } from "@/features/chat/components/announcements";
import { useChat } from "@/features/chat/state/chat-context";
import { isBusy } from "@/features/chat/state/chat-state";
import { Composer } from "@/features/chat/components/composer";
import { EmptyChat } from "@/features/chat/components/empty-chat";
import { messageAnchor, MessageList } from "@/features/chat/components/message-list";
import { AnsweringModelContext, type AnsweringModel } from "@/features/chat/state/model-context";
import { adviceFor, noticeText } from "@/features/chat/state/notice";
import { useDoneMark } from "@/features/chat/messages/use-done-mark";
import { useStickToBottom } from "@/features/chat/components/use-stick-to-bottom";

interface ChatViewProps {
  /** Why nothing can be sent now, or null. */
  hold: string | null;
  /** The state of the model, shown before the first message. */
  about: ReactNode;
  /** Whether there is a model that can answer. */
  able: boolean;
  model: AnsweringModel | null;
  /** Beside the input's footnote: presets. */
  presets: ReactNode;
  onNewChat: () => void;
}

/** One chat: its messages, and the input. */
export function ChatView({ hold, about, able, model, presets, onNewChat }: ChatViewProps) {
  const { t } = useTranslation();
  const sessionId = useChat((state) => state.sessionId);
  const phase = useChat((state) => state.phase);
  const pending = useChat((state) => state.pending);
  const empty = useChat((state) => state.leafId === null && !isBusy(state));
  const targetId = useChat((state) => state.targetId);
  const { scroller, content, away, jump, show } = useStickToBottom();

  useStopOnEscape();
  useDoneMark();
  // Opening a chat and sending a message both scroll to the end.
  useLayoutEffect(jump, [jump, sessionId, phase, pending !== null]);
  useLayoutEffect(() => {
    const target = targetId === null ? null : document.getElementById(messageAnchor(targetId));
    if (target) show(target);
  }, [show, sessionId, phase, targetId]);

  return (
    <AnsweringModelContext value={model}>
      <DropZone aria-label={t("app.chat")} className="relative flex min-h-0 flex-1 flex-col">
        <div className="soft-edges min-h-0 flex-1">
          <div
            ref={scroller}
            tabIndex={0}
            role="group"
            aria-label={t("chat.messages")}
            className="even-gutters relative h-full overflow-y-auto outline-offset-[-2px]"
          >
            <div ref={content} className="reading-column flex min-h-full flex-col">
              {phase === "ready" && !empty && <MessageList scroller={scroller} />}
              {phase === "ready" && empty && (
                <EmptyChat held={hold !== null} about={about} able={able} />
              )}
              {phase === "missing" && <Missing onNewChat={onNewChat} />}
              {phase === "failed" && <ChatLoadError />}
            </div>
          </div>
        </div>
        <div className="relative">
          {away && (
            <IconButton
              label={t("chat.jump")}
              variant="plain"
              className="absolute inset-x-0 -top-12 mx-auto animate-arrive rounded-full shadow-float"
              onClick={jump}
            >
              <ArrowDownIcon />
            </IconButton>
          )}
          <Composer hold={hold} presets={presets} />
        </div>
        <Announcements />
      </DropZone>
    </AnsweringModelContext>
  );
}

function useStopOnEscape() {
  const stop = useChat((state) => state.stop);
  const busy = useChat(isBusy);
  useEffect(() => {
    if (!busy) return;
    const pressed = (event: KeyboardEvent) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      // In a dialog, Esc closes it.
      if (document.querySelector("dialog[open]")) return;
      void stop();
    };
    window.addEventListener("keydown", pressed);
    return () => {
      window.removeEventListener("keydown", pressed);
    };
  }, [busy, stop]);
}

function Missing({ onNewChat }: { onNewChat: () => void }) {
  const { t } = useTranslation();
  return (
    <div className="flex flex-col items-start py-16">
      <h2 className="text-xl font-semibold">{t("chat.missing")}</h2>
      <p className="mt-2 mb-5 text-muted">{t("chat.missingWhy")}</p>
      <Button onClick={onNewChat}>{t("chat.startNew")}</Button>
    </div>
  );
}

function ChatLoadError() {
  const { t } = useTranslation();
  const notice = useChat((state) => state.notice);
  const reload = useChat((state) => state.reload);
  if (!notice) return null;
  const away = notice.code === "unreachable";
  return (
    <div className="flex flex-col items-start py-16">
      <h2 className="text-xl font-semibold">{t("chat.notRead")}</h2>
      <p className="mt-2 mb-5 text-muted">
        {noticeText(notice, t)} {away ? t("chat.opensAgain") : adviceFor(notice.code, t)}
      </p>
      {!away && <Button onClick={reload}>{t("app.tryAgain")}</Button>}
    </div>
  );
}
