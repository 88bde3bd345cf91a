import { useEffect, useId, useState } from "react";
import { useTranslation } from "react-i18next";

import { getPrompt } from "@/api/endpoints";
import type { Message, SentPrompt } from "@/api/types";
import { CopyButton } from "@/components/copy-button";
import { Modal } from "@/components/dialog";
import { DialogHead } from "@/components/dialog-head";
import { PromptText } from "@/features/chat/messages/prompt-text";
import { useChat } from "@/features/chat/state/chat-context";
import { useModelName } from "@/features/chat/state/models-context";
import { noticeText, toNotice, type Notice } from "@/features/chat/state/notice";
import { formatCount, formatTokens } from "@/lib/format";

/** The prompt that a reply is the reply to, token by token. */
export function SentDialog({ message, onClose }: { message: Message; onClose: () => void }) {
  const { t } = useTranslation();
  const title = useId();
  const [sent, setSent] = useState<SentPrompt | null>(null);
  const [failure, setFailure] = useState<Notice | null>(null);
  const [tokens, setTokens] = useState(false);
  const { id, session_id: sessionId } = message;

  useEffect(() => {
    const abort = new AbortController();
    getPrompt(sessionId, id, abort.signal).then(setSent, (error: unknown) => {
      if (!abort.signal.aborted) setFailure(toNotice(error));
    });
    return () => {
      abort.abort();
    };
  }, [sessionId, id]);

  return (
    <Modal
      labelledBy={title}
      onClose={onClose}
      className="m-auto max-h-[calc(100dvh-2rem)] w-[min(54rem,calc(100vw-2rem))] max-w-none rounded-panel border border-line-strong bg-bg shadow-panel"
    >
      <div className="flex max-h-[calc(100dvh-2.2rem)] flex-col">
        <DialogHead id={title} title={t("messages.sent")} onClose={onClose}>
          {sent && <CopyButton label={t("messages.copyPrompt")} text={() => wholeText(sent)} />}
        </DialogHead>
        <div
          tabIndex={0}
          role="group"
          aria-labelledby={title}
          className="min-h-0 flex-1 overflow-y-auto px-5 py-4 text-sm outline-offset-[-2px]"
        >
          {failure && <Refusal notice={failure} model={message.model} />}
          {!failure && !sent && (
            <p role="status" className="text-muted">
              {t("messages.rendering")}
            </p>
          )}
          {sent && (
            <>
              <Summary sent={sent} message={message} />
              <LeftOut sent={sent} />
              <label className="mt-3 flex w-fit cursor-pointer items-center gap-2 text-muted">
                <input
                  type="checkbox"
                  checked={tokens}
                  onChange={(event) => {
                    setTokens(event.target.checked);
                  }}
                  className="size-4 accent-accent"
                />
                {t("messages.showTokens")}
              </label>
              <PromptText sent={sent} tokens={tokens} />
            </>
          )}
        </div>
      </div>
    </Modal>
  );
}

function wholeText({ parts }: SentPrompt): string {
  return parts.flatMap(({ pieces }) => pieces.map(({ text }) => text)).join("");
}

/** Why there is nothing to show. */
function Refusal({ notice, model }: { notice: Notice; model: string | null }) {
  const { t } = useTranslation();
  const gone = notice.code === "model_not_found";
  return (
    <p role="alert">
      {gone ? t("messages.modelGone", { model: model ?? "?" }) : noticeText(notice, t)}
    </p>
  );
}

function Summary({ sent, message }: { sent: SentPrompt; message: Message }) {
  const { t } = useTranslation();
  const name = useModelName(sent.model);
  const { prompt_tokens: count, cached_tokens: cached, as_sent: asSent } = sent;
  const figures = [
    name,
    formatTokens(count),
    cached === null ? null : t("figures.cached", { formatted: formatCount(cached) }),
  ];
  const then = message.usage?.prompt_tokens ?? 0;
  return (
    <>
      <p className="tabular-nums">{figures.filter(Boolean).join(" · ")}</p>
      {asSent !== true && (
        <p className="mt-1 text-muted">
          {asSent === false
            ? t("messages.differs", { then: formatTokens(then) })
            : t("messages.uncertain")}
        </p>
      )}
    </>
  );
}

/** The messages that the model was not given, and why. */
function LeftOut({ sent }: { sent: SentPrompt }) {
  const { t } = useTranslation();
  const messages = useChat((state) => state.messages);
  if (sent.left_out.length === 0) return null;
  const count = sent.left_out.length;
  return (
    <details className="mt-3">
      <summary className="w-fit cursor-pointer">
        {t("messages.leftOut", { count, formatted: formatCount(count) })}
      </summary>
      <ul className="mt-1 ps-4 text-muted">
        {sent.left_out.map(({ message_id: id, role, reason }) => (
          <li key={id} className="truncate">
            {role === "user" ? t("chat.yourMessage") : t("chat.reply")}
            {": "}
            {reason === "empty" ? t("messages.empty") : (messages[id]?.content.slice(0, 120) ?? "")}
          </li>
        ))}
      </ul>
    </details>
  );
}
