import type { Message } from "@/api/types";
import { Button } from "@/components/button";
import { AlertIcon } from "@/components/icons";
import { useChat } from "@/features/chat/chat-context";
import { adviceFor } from "@/features/chat/notice";

interface ReplyFailureProps {
  message: Message;
}

/** Why a reply failed, and the way on. */
export function ReplyFailure({ message }: ReplyFailureProps) {
  const retry = useChat((state) => state.retry);
  const edit = useChat((state) => state.edit);
  const busy = useChat((state) => state.live !== null || state.pending !== null);
  const code = message.error?.code ?? "unknown";
  // The same words would not fit a second time.
  const tooLong = code === "context_length_exceeded";
  const advice = tooLong ? adviceFor(code) : null;
  return (
    <div className="my-2 flex gap-3 rounded-panel border border-line-strong px-4 py-3 text-sm">
      <AlertIcon className="mt-0.5 size-4.5 text-danger" />
      <div className="min-w-0">
        <p className="font-medium">
          {message.content === "" ? "No reply was written." : "The reply broke off here."}
        </p>
        <p className="mt-0.5 text-muted wrap-anywhere">
          {message.error?.message ?? "The server gave no reason."}
          {advice !== null && ` ${advice}`}
        </p>
        <Button
          className="mt-3"
          disabled={busy}
          onClick={() => {
            if (tooLong) edit(message.id);
            else void retry(message.id);
          }}
        >
          {tooLong ? "Edit the message" : "Try again"}
        </Button>
      </div>
    </div>
  );
}
