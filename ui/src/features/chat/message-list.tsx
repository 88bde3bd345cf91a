import { useMemo } from "react";

import { useChat } from "@/features/chat/chat-context";
import { branchTo } from "@/features/chat/branch";
import { AwaitedReply, Reply } from "@/features/chat/reply";
import { UserMessage } from "@/features/chat/user-message";

export function MessageList() {
  const messages = useChat((state) => state.messages);
  const leafId = useChat((state) => state.leafId);
  const pending = useChat((state) => state.pending);
  const branch = useMemo(() => branchTo(messages, leafId), [messages, leafId]);
  return (
    <div className="flex flex-col gap-6 pt-4 pb-8">
      {branch.map((message) => {
        if (message.role === "assistant") return <Reply key={message.id} message={message} />;
        if (message.role === "user") {
          return <UserMessage key={message.id} content={message.content} />;
        }
        return null;
      })}
      {pending !== null && (
        <>
          <UserMessage content={pending} />
          <AwaitedReply />
        </>
      )}
    </div>
  );
}
