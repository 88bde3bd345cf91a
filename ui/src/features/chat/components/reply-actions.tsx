import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

import type { Message } from "@/api/types";
import { Button, IconButton } from "@/components/button";
import { CopyButton } from "@/components/copy-button";
import { ChevronDownIcon, PlayIcon, RefreshIcon } from "@/components/icons";
import type { Version } from "@/features/chat/state/branch";
import { useDeferredBusy, useChat } from "@/features/chat/state/chat-context";
import { MessageMenu } from "@/features/chat/messages/message-menu";
import { useModelName } from "@/features/chat/state/models-context";
import { MessageTime } from "@/features/chat/components/message-time";
import { replySummary, usageDetails } from "@/features/chat/components/usage-details";
import { VersionSwitch } from "@/features/chat/components/version-switch";
import { classNames } from "@/lib/class-names";

const SentDialog = lazy(async () => ({
  default: (await import("@/features/chat/messages/sent-dialog")).SentDialog,
}));

interface ReplyActionsProps {
  message: Message;
  version: Version | null;
}

/** The actions and usage figures below a finished reply. */
export function ReplyActions({ message, version }: ReplyActionsProps) {
  const { t } = useTranslation();
  const [open, setOpen] = useState(false);
  const regenerate = useChat((state) => state.regenerate);
  const busy = useDeferredBusy();
  const name = useModelName(message.model);
  const { id, content, status } = message;
  const figures = replySummary(message, name, t);
  // A failed reply has its own button.
  const again = status !== "failed" && status !== "streaming";
  return (
    <>
      <div
        role="group"
        aria-label={t("actions.ofReply")}
        className="-ms-2 flex min-h-8 flex-wrap items-center text-[0.8125rem] text-faint"
      >
        {version && <VersionSwitch version={version} />}
        {content !== "" && (
          <CopyButton label={t("copy.reply")} className="size-8" text={() => content} />
        )}
        {again && (
          <IconButton
            label={t("actions.regenerate")}
            className="size-8"
            disabled={busy}
            onClick={() => void regenerate(id)}
          >
            <RefreshIcon className="size-4" />
          </IconButton>
        )}
        <ContinueButton message={message} />
        {status !== "streaming" && <MessageMenu message={message} version={version} />}
        {figures.length > 0 && (
          <button
            type="button"
            aria-expanded={open}
            title={t("actions.details")}
            onClick={() => {
              setOpen(!open);
            }}
            className="ms-1 flex min-h-8 max-w-fit min-w-0 grow basis-36 items-center gap-1 rounded-control px-1.5 hover:text-text"
          >
            <UsageSummary figures={figures} />
            <ChevronDownIcon className={classNames("size-3.5", open && "rotate-180")} />
          </button>
        )}
        {status !== "streaming" && <MessageTime at={message.created_at} />}
      </div>
      {open && <ReplyDetails message={message} />}
    </>
  );
}

/** Only the last message of a branch can be continued. */
function ContinueButton({ message }: { message: Message }) {
  const { t } = useTranslation();
  const continueReply = useChat((state) => state.continueReply);
  const last = useChat((state) => state.leafId === message.id);
  const busy = useDeferredBusy();
  const { status, finish_reason, content } = message;
  const cut = status === "stopped" || status === "interrupted" || finish_reason === "length";
  if (!last || !cut || content === "") return null;
  return (
    <Button
      variant="quiet"
      className="min-h-8 px-2 text-[0.8125rem]"
      disabled={busy}
      onClick={() => void continueReply(message.id)}
    >
      <PlayIcon className="size-4 rtl:-scale-x-100" />
      {t("ending.continue")}
    </Button>
  );
}

/** One line; figures that do not fit are hidden, and shown in the details. */
function UsageSummary({ figures }: { figures: string[] }) {
  return (
    <span className="flex h-5 flex-wrap gap-x-1.5 overflow-hidden text-start leading-5 tabular-nums">
      {figures.map((figure) => (
        <span key={figure} className="max-w-full truncate not-first:before:me-1.5 not-first:before:content-['·']">
          {figure}
        </span>
      ))}
    </span>
  );
}

function ReplyDetails({ message }: { message: Message }) {
  const { t } = useTranslation();
  const [sent, setSent] = useState(false);
  return (
    <div className="mt-1 w-fit animate-arrive rounded-panel border border-line px-4 py-3 text-[0.8125rem]">
      <dl className="grid w-fit grid-cols-[auto_auto] gap-x-6 gap-y-1 tabular-nums">
        {usageDetails(message, t).map(([label, value]) => (
          <div key={label} className="contents">
            <dt className="text-faint">{label}</dt>
            <dd className="wrap-anywhere">{value}</dd>
          </div>
        ))}
      </dl>
      <Button
        variant="quiet"
        className="-mx-3.5 mt-1 -mb-1.5 min-h-8 text-[0.8125rem]"
        onClick={() => {
          setSent(true);
        }}
      >
        {t("messages.sent")}
      </Button>
      <Suspense>
        {sent && (
          <SentDialog
            message={message}
            onClose={() => {
              setSent(false);
            }}
          />
        )}
      </Suspense>
    </div>
  );
}
