import { memo } from "react";

import type { Message } from "@/api/types";
import { CopyButton } from "@/components/copy-button";
import { Markdown } from "@/components/markdown/markdown";
import { useChat } from "@/features/chat/chat-context";
import { figuresOf } from "@/features/chat/figures";
import { ReplyFailure } from "@/features/chat/reply-failure";
import { WaitingLine } from "@/features/chat/waiting-line";
import { plural } from "@/lib/format";

interface ReplyProps {
  message: Message;
}

export const Reply = memo(function Reply({ message }: ReplyProps) {
  const live = useChat((state) => (state.live?.id === message.id ? state.live : null));
  const stopping = useChat((state) => state.stopping);
  const text = live ? live.text : message.content;
  return (
    <article aria-label="Reply" aria-busy={live !== null}>
      {text !== "" && <Markdown text={text} growing={live !== null} />}
      {live ? (
        <WaitingLine
          prefill={live.prefill}
          writing={text !== ""}
          linked={live.linked}
          stopping={stopping}
        />
      ) : (
        <Ending message={message} />
      )}
    </article>
  );
});

/** A reply that the server has not begun. */
export function AwaitedReply() {
  const stopping = useChat((state) => state.stopping);
  return (
    <article aria-label="Reply" aria-busy>
      <WaitingLine prefill={null} writing={false} linked stopping={stopping} />
    </article>
  );
}

function Ending({ message }: ReplyProps) {
  const { content, usage } = message;
  const remark = remarkOn(message);
  const dropped = usage?.dropped_messages ?? 0;
  return (
    <>
      {remark !== null && <p className="mt-2 text-sm text-muted">{remark}</p>}
      {dropped > 0 && (
        <p className="mt-2 text-sm text-muted">
          The model did not see {plural(dropped, "earlier message")}: the chat is longer than what
          it can read at once.
        </p>
      )}
      {message.status === "failed" && <ReplyFailure message={message} />}
      {content !== "" && (
        <div className="-ml-2 flex min-h-8 items-center gap-2 text-[0.8125rem] text-faint">
          <CopyButton label="Copy reply" className="size-8" text={() => content} />
          {usage && <Figures figures={figuresOf(usage)} />}
        </div>
      )}
    </>
  );
}

/** One line: what does not fit wraps out of sight, and is in the tooltip. */
function Figures({ figures }: { figures: string[] }) {
  return (
    <p
      title={figures.join(" · ")}
      className="flex h-5 flex-wrap gap-x-1.5 overflow-hidden leading-5 tabular-nums"
    >
      {figures.map((figure) => (
        <span key={figure} className="not-first:before:mr-1.5 not-first:before:content-['·']">
          {figure}
        </span>
      ))}
    </p>
  );
}

function remarkOn({ status, content, finish_reason }: Message): string | null {
  if (status === "stopped") {
    return content === "" ? "You stopped this reply before its first word." : "You stopped this reply.";
  }
  if (status === "interrupted") {
    return content === ""
      ? "Interrupted: the appliance stopped before the first word."
      : "Interrupted: the appliance stopped in the middle of this reply. The text so far is kept.";
  }
  if (status === "streaming") return "The rest of this reply is still on its way.";
  if (finish_reason === "length") return "The reply ends here because it reached its length limit.";
  return null;
}
