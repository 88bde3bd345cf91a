import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";

import type { Session } from "@/api/types";
import {
  CheckIcon,
  DownloadIcon,
  FolderIcon,
  MoreIcon,
  PencilIcon,
  PinIcon,
  PrintIcon,
  SettingsIcon,
  TrashIcon,
} from "@/components/icons";
import { Menu } from "@/components/menu";
import { dragChats } from "@/features/sessions/dragged-chats";
import { RenameField } from "@/features/sessions/rename-field";
import { sessionTitle } from "@/features/sessions/session-title";
import type { Selection } from "@/features/sessions/use-selection";
import { classNames } from "@/lib/class-names";
import { formatMoment } from "@/lib/format";

interface SessionRowProps {
  session: Session;
  active: boolean;
  /** Tab leads to this chat; arrow keys lead to the others. */
  inTabOrder: boolean;
  href: string;
  /** Given if another chat has the same title: when this one was last written to. */
  when: string | null;
  selection: Selection;
  onOpen: () => void;
  onRename: (title: string) => void;
  onPin: () => void;
  onMove: () => void;
  /** Its settings become its folder's; undefined: it is in no folder, or has none. */
  onUseForFolder: (() => void) | undefined;
  onSelect: () => void;
  onExport: (format: "markdown" | "pdf" | "json") => void;
  onDelete: () => void;
}

const longPressMs = 500;
const line =
  "flex h-9 min-w-0 flex-1 items-center gap-2 rounded-control px-3 text-sm pointer-coarse:h-11";

export function SessionRow(props: SessionRowProps) {
  const { session, active, inTabOrder, href, selection, onOpen, onRename } = props;
  const { t } = useTranslation();
  const [renaming, setRenaming] = useState(false);
  const press = useRef<ReturnType<typeof setTimeout>>(undefined);
  const title = sessionTitle(session, t);
  const tabIndex = inTabOrder ? 0 : -1;
  const text = (
    <>
      <span dir="auto" className="truncate">
        {title}
      </span>
      {props.when !== null && (
        <span className="ms-auto shrink-0 text-xs text-faint tabular-nums">{props.when}</span>
      )}
      {session.live_message_id !== null && (
        <span
          role="img"
          aria-label={t("sessions.live")}
          className="size-1.5 shrink-0 animate-breathe rounded-full bg-accent"
        />
      )}
    </>
  );

  if (renaming) {
    return (
      <RenameField
        title={session.title}
        onDone={(changed) => {
          setRenaming(false);
          if (changed !== null) onRename(changed);
        }}
      />
    );
  }
  if (selection.active) {
    return (
      <label className={classNames(line, "cursor-pointer hover:bg-hover has-checked:bg-hover")}>
        <input
          type="checkbox"
          data-chat={session.id}
          tabIndex={tabIndex}
          checked={selection.has(session.id)}
          onChange={(event) => {
            const { nativeEvent } = event;
            if (nativeEvent instanceof MouseEvent && nativeEvent.shiftKey) {
              selection.extend(session.id);
            } else selection.toggle(session.id);
          }}
          className="size-4 shrink-0 accent-accent"
        />
        {text}
      </label>
    );
  }
  const endPress = () => {
    clearTimeout(press.current);
  };
  return (
    <div
      className={classNames(
        "group relative flex items-center rounded-control transition-colors hover:bg-hover",
        active && "bg-hover",
      )}
    >
      <a
        href={href}
        data-chat={session.id}
        tabIndex={tabIndex}
        aria-current={active ? "page" : undefined}
        title={`${title}\n${formatMoment(session.updated_at)}`}
        onClick={(event) => {
          if (event.shiftKey || event.ctrlKey || event.metaKey) {
            event.preventDefault();
            if (event.shiftKey) selection.extend(session.id);
            else selection.toggle(session.id);
          } else onOpen();
        }}
        onPointerDown={({ pointerType }) => {
          if (pointerType === "mouse") return;
          press.current = setTimeout(() => {
            selection.toggle(session.id);
          }, longPressMs);
        }}
        onPointerUp={endPress}
        onPointerCancel={endPress}
        onPointerLeave={endPress}
        onDragStart={(event) => {
          dragChats(event, [session.id]);
        }}
        className={classNames(
          line,
          "pointer-coarse:[-webkit-touch-callout:none]",
          active ? "text-text" : "text-muted group-hover:text-text",
        )}
      >
        {text}
      </a>
      {/* On a screen that is touched nothing hovers: there it stays, in the background. */}
      <div className="not-pointer-coarse:absolute not-pointer-coarse:end-0 not-pointer-coarse:rounded-e-control not-pointer-coarse:bg-hover not-pointer-coarse:pe-1 not-pointer-coarse:opacity-0 group-hover:opacity-100 focus-within:opacity-100 has-aria-expanded:opacity-100">
        <Menu
          label={t("sessions.menu", { title })}
          icon={<MoreIcon />}
          tabIndex={tabIndex}
          className="size-7 pointer-coarse:size-10 pointer-coarse:text-line-bold"
          items={[
            {
              label: t("sessions.rename"),
              icon: <PencilIcon className="size-4" />,
              run: () => {
                setRenaming(true);
              },
            },
            {
              label: session.pinned ? t("sessions.unpin") : t("sessions.pin"),
              icon: <PinIcon className="size-4" />,
              run: props.onPin,
            },
            {
              label: t("sessions.move"),
              icon: <FolderIcon className="size-4" />,
              run: props.onMove,
            },
            ...(props.onUseForFolder
              ? [
                  {
                    label: t("folders.useSettings"),
                    icon: <SettingsIcon className="size-4" />,
                    run: props.onUseForFolder,
                  },
                ]
              : []),
            {
              label: t("sessions.select"),
              icon: <CheckIcon className="size-4" />,
              run: props.onSelect,
            },
            {
              label: t("sessions.exportMarkdown"),
              icon: <DownloadIcon className="size-4" />,
              run: () => {
                props.onExport("markdown");
              },
            },
            {
              label: t("sessions.exportPdf"),
              icon: <PrintIcon className="size-4" />,
              run: () => {
                props.onExport("pdf");
              },
            },
            {
              label: t("sessions.exportJson"),
              icon: <DownloadIcon className="size-4" />,
              run: () => {
                props.onExport("json");
              },
            },
            {
              label: t("sessions.delete"),
              icon: <TrashIcon className="size-4" />,
              run: props.onDelete,
              danger: true,
            },
          ]}
        />
      </div>
    </div>
  );
}
