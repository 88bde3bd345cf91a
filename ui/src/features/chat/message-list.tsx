import { useMemo, type ReactNode } from "react";

import type { Message } from "@/api/types";
import { useChat } from "@/features/chat/chat-context";
import { branchTo, versionsOf } from "@/features/chat/branch";
import { likelyHeight } from "@/features/chat/likely-height";
import { AwaitedReply, Reply } from "@/features/chat/reply";
import { useOlderLater } from "@/features/chat/use-older-later";
import { PendingMessage, UserMessage } from "@/features/chat/user-message";
import { classNames } from "@/lib/class-names";

/** The id of a message's element. */
export function messageAnchor(id: string): string {
  return `message-${id}`;
}

export function MessageList() {
  const messages = useChat((state) => state.messages);
  const leafId = useChat((state) => state.leafId);
  const targetId = useChat((state) => state.targetId);
  const pending = useChat((state) => state.pending);
  const branch = useMemo(() => branchTo(messages, leafId), [messages, leafId]);
  const versions = useMemo(() => versionsOf(messages), [messages]);
  const from = useOlderLater(branch, targetId);
  const shown = useMemo(
    () =>
      branch.slice(from).map((message) => {
        const version = versions.get(message.id) ?? null;
        if (message.role === "system") return null;
        return (
          <Place
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
          </Place>
        );
      }),
    [branch, from, versions, targetId, leafId],
  );
  return (
    <div className="flex flex-col gap-6 pt-4 pb-8">
      {shown}
      {pending?.kind === "turn" && <PendingMessage content={pending.content} />}
      {pending !== null && pending.kind !== "continue" && <AwaitedReply />}
    </div>
  );
}

interface PlaceProps {
  message: Message;
  /** The page was asked to show this one. */
  target: boolean;
  /** It does not grow: out of sight, it costs nothing. */
  settled: boolean;
  children: ReactNode;
}

/** Where a message stands. */
function Place({ message, target, settled, children }: PlaceProps) {
  const { id, content, role } = message;
  const height = useMemo(() => likelyHeight(content), [content]);
  return (
    <div
      id={messageAnchor(id)}
      style={settled ? { containIntrinsicBlockSize: `auto ${height}px` } : undefined}
      className={classNames(
        // What is beside and below its text, such as a ring of focus, is not cut off.
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
