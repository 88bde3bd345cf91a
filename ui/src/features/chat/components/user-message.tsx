import { memo } from "react";
import { useTranslation } from "react-i18next";

import type { Attachment, Message } from "@/api/types";
import { Button, IconButton } from "@/components/button";
import { CopyButton } from "@/components/copy-button";
import { PencilIcon } from "@/components/icons";
import { SentFiles } from "@/features/chat/attachments/chips";
import type { Version } from "@/features/chat/state/branch";
import { useDeferredBusy, useChat } from "@/features/chat/state/chat-context";
import { MessageEditor } from "@/features/chat/components/message-editor";
import { MessageTime } from "@/features/chat/components/message-time";
import { MessageMenu } from "@/features/chat/messages/message-menu";
import { VersionSwitch } from "@/features/chat/components/version-switch";

interface UserMessageProps {
  message: Message;
  version: Version | null;
}

export const UserMessage = memo(function UserMessage({ message, version }: UserMessageProps) {
  const { t } = useTranslation();
  const editing = useChat((state) => state.editingId === message.id);
  if (editing) return <MessageEditor message={message} />;
  return (
    <div className="group flex flex-col items-end">
      <SentFiles attachments={message.attachments} />
      {message.content !== "" && (
        <article aria-label={t("chat.yourMessage")} dir="auto" className={bubble}>
          {message.content}
        </article>
      )}
      {message.damaged && <p className="mt-2 text-sm text-danger">{t("chat.damaged")}</p>}
      <Actions message={message} version={version} />
    </div>
  );
});

interface PendingMessageProps {
  content: string;
  attachments: readonly Attachment[];
}

/** Sent, and not accepted by the server yet. */
export function PendingMessage({ content, attachments }: PendingMessageProps) {
  const { t } = useTranslation();
  return (
    <div className="flex flex-col items-end">
      <SentFiles attachments={attachments} />
      {content !== "" && (
        <article aria-label={t("chat.yourMessage")} dir="auto" className={bubble}>
          {content}
        </article>
      )}
      <div className="-mb-4 h-8" />
    </div>
  );
}

const bubble =
  "max-w-[85%] rounded-panel bg-raised px-4 py-2.5 whitespace-pre-wrap wrap-anywhere";

function Actions({ message, version }: UserMessageProps) {
  const { t } = useTranslation();
  const startEdit = useChat((state) => state.startEdit);
  const busy = useDeferredBusy();
  return (
    <div
      role="group"
      aria-label={t("actions.ofMessage")}
      className="flex h-8 items-center"
    >
      <div className="flex items-center not-pointer-coarse:opacity-0 not-pointer-coarse:transition-opacity group-hover:opacity-100 focus-within:opacity-100 has-aria-expanded:opacity-100">
        <MessageTime at={message.created_at} />
        <CopyButton label={t("copy.message")} className="size-8" text={() => message.content} />
        <IconButton
          label={t("actions.edit")}
          className="size-8"
          disabled={busy}
          onClick={() => {
            startEdit(message.id);
          }}
        >
          <PencilIcon className="size-4" />
        </IconButton>
        <MessageMenu message={message} version={version} />
      </div>
      {version && <VersionSwitch version={version} />}
      <AnswerButton id={message.id} />
    </div>
  );
}

/** Where a reply was deleted, or never came. */
function AnswerButton({ id }: { id: string }) {
  const { t } = useTranslation();
  const answer = useChat((state) => state.answer);
  const last = useChat((state) => state.leafId === id);
  const busy = useDeferredBusy();
  if (!last || busy) return null;
  return (
    <Button
      variant="quiet"
      className="min-h-8 px-2 text-[0.8125rem]"
      onClick={() => void answer(id)}
    >
      {t("messages.answer")}
    </Button>
  );
}
