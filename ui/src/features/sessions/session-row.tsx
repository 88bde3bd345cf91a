import { useState } from "react";

import type { Session } from "@/api/types";
import { IconButton } from "@/components/button";
import { PencilIcon, TrashIcon } from "@/components/icons";
import { RenameField } from "@/features/sessions/rename-field";
import { sessionTitle } from "@/features/sessions/session-title";
import { classNames } from "@/lib/class-names";

/** On a screen that is touched nothing hovers: there they stay, in the background. */
const action = "size-7 pointer-coarse:size-10 pointer-coarse:text-line-bold";

interface SessionRowProps {
  session: Session;
  active: boolean;
  href: string;
  onOpen: () => void;
  onRename: (title: string) => void;
  onDelete: () => void;
}

export function SessionRow({ session, active, href, onOpen, onRename, onDelete }: SessionRowProps) {
  const [renaming, setRenaming] = useState(false);
  const title = sessionTitle(session);

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
        <span className="truncate">{title}</span>
        {session.live_message_id !== null && (
          <span
            role="img"
            aria-label="A reply is being written"
            className="size-1.5 shrink-0 animate-breathe rounded-full bg-accent"
          />
        )}
      </a>
      <div
        className={classNames(
          "flex pr-1 not-pointer-coarse:absolute not-pointer-coarse:right-0",
          "not-pointer-coarse:rounded-r-control not-pointer-coarse:bg-hover",
          "not-pointer-coarse:opacity-0 group-hover:opacity-100 focus-within:opacity-100",
        )}
      >
        <IconButton
          label={`Rename chat ${title}`}
          className={action}
          onClick={() => {
            setRenaming(true);
          }}
        >
          <PencilIcon className="size-4" />
        </IconButton>
        <IconButton
          label={`Delete chat ${title}`}
          className={action}
          onClick={onDelete}
        >
          <TrashIcon className="size-4" />
        </IconButton>
      </div>
    </div>
  );
}
