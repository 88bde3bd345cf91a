import { useMemo } from "react";

import { useChat } from "@/features/chat/chat-context";
import { branchTo, versionsOf } from "@/features/chat/branch";
import { AwaitedReply, Reply } from "@/features/chat/reply";
import { PendingMessage, UserMessage } from "@/features/chat/user-message";

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
  return (
    <div className="flex flex-col gap-6 pt-4 pb-8">
      {branch.map((message) => {
        const version = versions.get(message.id) ?? null;
        if (message.role === "system") return null;
        return (
          <div
            key={message.id}
            id={messageAnchor(message.id)}
            className={message.id === targetId ? "-mx-3 animate-point-out rounded-panel px-3" : ""}
          >
            {message.role === "user" ? (
              <UserMessage message={message} version={version} />
            ) : (
              <Reply message={message} version={version} />
            )}
          </div>
        );
      })}
      {pending?.kind === "turn" && <PendingMessage content={pending.content} />}
      {pending !== null && pending.kind !== "continue" && <AwaitedReply />}
    </div>
  );
}
