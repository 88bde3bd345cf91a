import type { TFunction } from "i18next";
import { memo } from "react";
import { useTranslation } from "react-i18next";

import type { Message } from "@/api/types";
import { Markdown } from "@/components/markdown/markdown";
import type { Version } from "@/features/chat/state/branch";
import { useChat } from "@/features/chat/state/chat-context";
import { MessageEditor } from "@/features/chat/components/message-editor";
import { Reasoning } from "@/features/chat/components/reasoning";
import { ReplyActions } from "@/features/chat/components/reply-actions";
import { ReplyFailure } from "@/features/chat/components/reply-failure";
import { droppedText } from "@/features/chat/components/usage-details";
import { WaitingLine } from "@/features/chat/components/waiting-line";

interface ReplyProps {
  message: Message;
  version: Version | null;
}

export const Reply = memo(function Reply({ message, version }: ReplyProps) {
  const { t } = useTranslation();
  const live = useChat((state) => (state.live?.id === message.id ? state.live : null));
  const awaited = useChat(
    ({ pending }) => pending?.kind === "continue" && pending.replyId === message.id,
  );
  const editing = useChat((state) => state.editingId === message.id);
  const text = live ? live.text : message.content;
  const reasoning = live ? live.reasoning : message.reasoning;
  if (editing && !live) return <MessageEditor message={message} />;
  return (
    <article aria-label={t("chat.reply")} aria-busy={live !== null || awaited}>
      {reasoning !== "" && <Reasoning text={reasoning} growing={live !== null && text === ""} />}
      {text !== "" && (
        <div dir="auto">
          <Markdown text={text} growing={live !== null} />
        </div>
      )}
      {live || awaited ? (
        <WaitingLine live={live} />
      ) : (
        <Ending message={message} version={version} />
      )}
    </article>
  );
});

/** A reply that the server has not started yet. */
export function AwaitedReply() {
  const { t } = useTranslation();
  return (
    <article aria-label={t("chat.reply")} aria-busy>
      <WaitingLine live={null} />
    </article>
  );
}

function Ending({ message, version }: ReplyProps) {
  const { t } = useTranslation();
  const remark = remarkOn(message, t);
  const dropped = message.usage && droppedText(message.usage, t);
  return (
    <>
      {message.damaged && <p className="mt-2 text-sm text-danger">{t("chat.damaged")}</p>}
      {remark !== null && <p className="mt-2 text-sm text-muted">{remark}</p>}
      {dropped !== null && <p className="mt-2 text-sm text-muted">{dropped}</p>}
      {(message.status === "failed" || modelDied(message)) && <ReplyFailure message={message} />}
      <ReplyActions message={message} version={version} />
    </>
  );
}

/** Whether the reply was interrupted by the end of the model's process, not of the appliance. */
function modelDied({ status, error }: Message): boolean {
  return status === "interrupted" && error?.code === "worker_died";
}

function remarkOn(message: Message, t: TFunction): string | null {
  const { status, content, finish_reason } = message;
  const empty = content === "";
  if (modelDied(message)) return null;
  if (status === "stopped") return empty ? t("ending.stoppedEmpty") : t("ending.stopped");
  if (status === "interrupted") {
    return empty ? t("ending.interruptedEmpty") : t("ending.interrupted");
  }
  if (status === "streaming") return t("ending.streaming");
  return finish_reason === "length" ? t("ending.length") : null;
}
