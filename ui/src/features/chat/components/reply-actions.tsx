import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Message } from "@/api/types";
import { Button, IconButton } from "@/components/button";
import { CopyButton } from "@/components/copy-button";
import { ChevronDownIcon, PlayIcon, RefreshIcon } from "@/components/icons";
import type { Version } from "@/features/chat/state/branch";
import { useDeferredBusy, useChat } from "@/features/chat/state/chat-context";
import { usageDetails, usageSummary } from "@/features/chat/components/usage-details";
import { VersionSwitch } from "@/features/chat/components/version-switch";
import { classNames } from "@/lib/class-names";

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
  const { id, content, usage, status } = message;
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
        {usage && (
          <button
            type="button"
            aria-expanded={open}
            title={t("actions.details")}
            onClick={() => {
              setOpen(!open);
            }}
            className="ms-1 flex min-h-8 min-w-0 items-center gap-1 rounded-control px-1.5 hover:text-text"
          >
            <UsageSummary figures={usageSummary(usage, t)} />
            <ChevronDownIcon className={classNames("size-3.5", open && "rotate-180")} />
          </button>
        )}
      </div>
      {open && <UsageDetails message={message} />}
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
        <span key={figure} className="not-first:before:me-1.5 not-first:before:content-['·']">
          {figure}
        </span>
      ))}
    </span>
  );
}

function UsageDetails({ message }: { message: Message }) {
  const { t } = useTranslation();
  return (
    <dl className="mt-1 grid w-fit animate-arrive grid-cols-[auto_auto] gap-x-6 gap-y-1 rounded-panel border border-line px-4 py-3 text-[0.8125rem] tabular-nums">
      {usageDetails(message, t).map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-faint">{name}</dt>
          <dd className="wrap-anywhere">{value}</dd>
        </div>
      ))}
    </dl>
  );
}
