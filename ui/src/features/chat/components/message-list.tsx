import { useMemo, useRef, type ReactNode, type RefObject } from "react";

import type { Message } from "@/api/types";
import { useChat } from "@/features/chat/state/chat-context";
import { branchTo, versionsOf } from "@/features/chat/state/branch";
import { estimateHeight } from "@/features/chat/components/estimated-height";
import { AwaitedReply, Reply } from "@/features/chat/components/reply";
import { useMessageWindow } from "@/features/chat/components/use-message-window";
import { PendingMessage, UserMessage } from "@/features/chat/components/user-message";
import { classNames } from "@/lib/class-names";

/** The id of a message's element. */
export function messageAnchor(id: string): string {
  return `message-${id}`;
}

/** `scroller`: what the list is scrolled in. */
export function MessageList({ scroller }: { scroller: RefObject<HTMLElement | null> }) {
  const list = useRef<HTMLDivElement>(null);
  const messages = useChat((state) => state.messages);
  const leafId = useChat((state) => state.leafId);
  const targetId = useChat((state) => state.targetId);
  const pending = useChat((state) => state.pending);
  const branch = useMemo(() => branchTo(messages, leafId), [messages, leafId]);
  const versions = useMemo(() => versionsOf(messages), [messages]);
  const { from, to, above, below } = useMessageWindow(branch, targetId, scroller, list);
  const shown = useMemo(
    () =>
      branch.slice(from, to).map((message) => {
        const version = versions.get(message.id) ?? null;
        if (message.role === "system") return null;
        return (
          <MessageItem
            key={message.id}
            message={message}
            target={message.id === targetId}
            settled={message.id !== leafId}
          >
            {message.role === "user" ? (
              <UserMessage message={message} version={version} />
            ) : (
              <Reply message={message} version={version} />
            )}
          </MessageItem>
        );
      }),
    [branch, from, to, versions, targetId, leafId],
  );
  return (
    <div ref={list} className="flex flex-col gap-6 pt-4 pb-8">
      {above > 0 && <div style={{ height: above }} />}
      {shown}
      {below > 0 && <div style={{ height: below }} />}
      {pending?.kind === "turn" && (
        <PendingMessage content={pending.content} attachments={pending.attachments} />
      )}
      {pending !== null && pending.kind !== "continue" && <AwaitedReply />}
    </div>
  );
}

interface MessageItemProps {
  message: Message;
  /** Whether the address names this message. */
  target: boolean;
  /** It is complete: off screen, it need not be rendered. */
  settled: boolean;
  children: ReactNode;
}

/** The list item of a message. */
function MessageItem({ message, target, settled, children }: MessageItemProps) {
  const { id, content, role } = message;
  const height = useMemo(() => estimateHeight(content), [content]);
  return (
    <div
      id={messageAnchor(id)}
      data-message={id}
      style={settled ? { containIntrinsicBlockSize: `auto ${height}px` } : undefined}
      className={classNames(
        // So that focus rings beside and below the text are not clipped.
        "-mx-3 px-3",
        role === "user" && "-mb-6 pb-2",
        settled && "rest-unseen",
        target && "animate-point-out rounded-panel",
      )}
    >
      {children}
    </div>
  );
}
