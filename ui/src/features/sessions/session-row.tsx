import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Session } from "@/api/types";
import { DownloadIcon, MoreIcon, PencilIcon, PinIcon, TrashIcon } from "@/components/icons";
import { Menu } from "@/components/menu";
import { RenameField } from "@/features/sessions/rename-field";
import { sessionTitle } from "@/features/sessions/session-title";
import { classNames } from "@/lib/class-names";

interface SessionRowProps {
  session: Session;
  active: boolean;
  href: string;
  onOpen: () => void;
  onRename: (title: string) => void;
  onPin: () => void;
  onExport: () => void;
  onDelete: () => void;
}

export function SessionRow(props: SessionRowProps) {
  const { session, active, href, onOpen, onRename } = props;
  const { t } = useTranslation();
  const [renaming, setRenaming] = useState(false);
  const title = sessionTitle(session, t);

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
  return (
    <div
      className={classNames(
        "group relative flex items-center rounded-control transition-colors hover:bg-hover",
        active && "bg-hover",
      )}
    >
      <a
        href={href}
        aria-current={active ? "page" : undefined}
        title={title}
        onClick={onOpen}
        className={classNames(
          "flex min-h-9 min-w-0 flex-1 items-center gap-2 rounded-control px-3 text-sm pointer-coarse:min-h-11",
          active ? "text-text" : "text-muted group-hover:text-text",
        )}
      >
        <span dir="auto" className="truncate">
          {title}
        </span>
        {session.live_message_id !== null && (
          <span
            role="img"
            aria-label={t("sessions.live")}
            className="size-1.5 shrink-0 animate-breathe rounded-full bg-accent"
          />
        )}
      </a>
      {/* On a screen that is touched nothing hovers: there it stays, in the background. */}
      <div className="not-pointer-coarse:absolute not-pointer-coarse:end-0 not-pointer-coarse:rounded-e-control not-pointer-coarse:bg-hover not-pointer-coarse:pe-1 not-pointer-coarse:opacity-0 group-hover:opacity-100 focus-within:opacity-100 has-aria-expanded:opacity-100">
        <Menu
          label={t("sessions.menu", { title })}
          icon={<MoreIcon />}
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
              label: t("sessions.export"),
              icon: <DownloadIcon className="size-4" />,
              run: props.onExport,
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
