import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { contentPath } from "@/api/attachments";
import type { Attachment } from "@/api/types";
import { CloseIcon, FileIcon } from "@/components/icons";
import type { DraftFile } from "@/features/chat/attachments/attached";
import { useChat } from "@/features/chat/state/chat-context";
import { draftKey } from "@/features/chat/state/chat-state";
import { classNames } from "@/lib/class-names";
import { formatCount, formatTokens } from "@/lib/format";

const none: readonly DraftFile[] = [];

/** The files of the message that is being written. */
export function DraftFiles() {
  const { t } = useTranslation();
  const files = useChat((state) => state.attached[draftKey(state.sessionId)] ?? none);
  const detach = useChat((state) => state.detach);
  if (files.length === 0) return null;
  return (
    <ul
      aria-label={t("attachments.list")}
      className="flex max-h-36 flex-wrap gap-1.5 overflow-y-auto px-1.5 pt-1.5 pb-1"
    >
      {files.map(({ key, name, attachment, progress, fit }) => {
        const cut = attachment && fit?.shown != null ? cutText(fit.shown, attachment.characters) : "";
        return (
          <li key={key} className={classNames(chip, "pe-1")}>
            <FileIcon className="size-4 text-muted" />
            <span className={parts}>
              <span dir="auto" title={name} className="max-w-full truncate">
                {name}
              </span>
              <span className={cut === "" ? "text-muted" : "text-warn"}>
                {attachment
                  ? [fit && formatTokens(fit.tokens), cut].filter(Boolean).join(" · ")
                  : uploading(progress)}
              </span>
            </span>
            <button
              type="button"
              aria-label={t("attachments.remove", { name })}
              title={t("attachments.remove", { name })}
              className="grid size-6 shrink-0 place-items-center rounded-full text-muted hover:bg-hover hover:text-text pointer-coarse:size-8"
              onClick={() => {
                detach(key);
              }}
            >
              <CloseIcon className="size-3.5" />
            </button>
          </li>
        );
      })}
    </ul>
  );

  function uploading(share: number): ReactNode {
    return t("attachments.uploading", { percent: Math.floor(share * 100) });
  }

  function cutText(shown: number, characters: number): string {
    return t("attachments.cut", { percent: percentOf(shown, characters) });
  }
}

/** The files of a message that was sent; each leads to the file. */
export function SentFiles({ attachments }: { attachments: readonly Attachment[] | undefined }) {
  const { t } = useTranslation();
  if (!attachments || attachments.length === 0) return null;
  return (
    <ul aria-label={t("attachments.list")} className="mb-1.5 flex max-w-[85%] flex-wrap justify-end gap-1.5">
      {attachments.map((one) => {
        const { id, name, pages, characters, shown } = one;
        const size = pages
          ? t("attachments.pages", { count: pages, formatted: formatCount(pages) })
          : t("attachments.characters", { count: characters, formatted: formatCount(characters) });
        return (
          <li key={id} className="max-w-full">
            <a
              href={contentPath(id)}
              download={name}
              title={t("attachments.download", { name })}
              className={classNames(chip, "transition-colors hover:bg-hover")}
            >
              <FileIcon className="size-4 text-muted" />
              <span className={parts}>
                <span dir="auto" className="max-w-full truncate">
                  {name}
                </span>
                {shown == null ? (
                  <span className="text-muted">{size}</span>
                ) : (
                  <span className="text-warn">
                    {t("attachments.wasCut", { percent: percentOf(shown, characters) })}
                  </span>
                )}
              </span>
            </a>
          </li>
        );
      })}
    </ul>
  );
}

const chip =
  "flex min-h-8 max-w-full items-center gap-1.5 rounded-control border border-line-strong bg-bg ps-2 pe-2.5 text-xs tabular-nums";

/** On a narrow screen, what is to be known of a file stands below its name. */
const parts = "flex min-w-0 flex-wrap gap-x-1.5 py-1";

function percentOf(shown: number, characters: number): number {
  return Math.max(1, Math.min(99, Math.floor((shown / characters) * 100)));
}
