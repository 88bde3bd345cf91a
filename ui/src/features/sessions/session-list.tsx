import { Suspense, useEffect, useMemo, useRef, useState, type DragEvent, type KeyboardEvent } from "react";
import { useTranslation } from "react-i18next";

import type { Folder, Session } from "@/api/types";
import { Button } from "@/components/button";
import { DeleteDialog } from "@/features/sessions/dialogs/delete-dialog";
import { draggedChats } from "@/features/sessions/dragged-chats";
import { FolderHeading } from "@/features/sessions/folder-heading";
import { FolderDialog, MoveDialog, RemoveFolderDialog } from "@/features/sessions/dialogs/lazy-dialogs";
import { listGroups, placeOf, shownPart, type ShownGroup } from "@/features/sessions/list-groups";
import { SelectionBar } from "@/features/sessions/selection-bar";
import { SessionRow } from "@/features/sessions/session-row";
import { repeatedTitles, sessionTitle } from "@/features/sessions/session-title";
import { useSessions } from "@/features/sessions/sessions-context";
import { useSelection } from "@/features/sessions/use-selection";
import { useSessionActions } from "@/features/sessions/use-session-actions";
import { useShownSpan } from "@/features/sessions/use-shown-span";
import { classNames } from "@/lib/class-names";
import { formatWhen } from "@/lib/format";
import { useMediaQuery } from "@/lib/use-media-query";
import { useNow } from "@/lib/use-now";

interface SessionListProps {
  activeId: string | null;
  hrefOf: (sessionId: string) => string;
  /** A chat was chosen, possibly the open one. */
  onOpen: () => void;
  onDeleted: (sessionId: string) => void;
  onExport: (session: Session, format: "markdown" | "pdf") => void;
  /** A chat that was open when it was deleted has been restored. */
  onBack: (sessionId: string) => void;
  /** A new chat in a folder. */
  onNewIn: (folderId: string) => void;
  /** Chats are being selected. */
  selecting: boolean;
  onSelecting: (selecting: boolean) => void;
}

type Asked =
  | { kind: "delete" | "move"; chats: readonly Session[] }
  | { kind: "folder" | "removeFolder"; folder: Folder };

/** Heights of what is listed, in pixels; on a screen that is touched, rows are higher. */
const fine = { chat: 37, folder: 37, heading: 36 };
const coarse = { chat: 45, folder: 45, heading: 36 };

/** The chats by folder and by day, each with its actions; only those in sight are rendered. */
export function SessionList(props: SessionListProps) {
  const { activeId, hrefOf, onOpen, onDeleted, onExport, onBack, selecting, onSelecting } = props;
  const { t } = useTranslation();
  const sessions = useSessions((state) => state.sessions);
  const folders = useSessions((state) => state.folders);
  const repeated = useMemo(() => repeatedTitles(sessions, t), [sessions, t]);
  const remove = useSessions((state) => state.remove);
  const actions = useSessionActions();
  const [asked, setAsked] = useState<Asked | null>(null);
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const [focusId, setFocusId] = useState<string | null>(null);
  const list = useRef<HTMLElement>(null);
  const heights = useMediaQuery("(pointer: coarse)") ? coarse : fine;
  const span = useShownSpan(list);
  // "Today" becomes "Yesterday" while the page stays open.
  const today = new Date(useNow(60_000)).setHours(0, 0, 0, 0);
  const groups = useMemo(
    () => listGroups(sessions, folders, opened, new Date(today), t),
    [sessions, folders, opened, today, t],
  );
  const listed = useMemo(() => groups.flatMap((group) => group.sessions), [groups]);
  const selection = useSelection(listed, selecting, onSelecting);
  const { above, shown, below } = shownPart(groups, heights, span.top, span.bottom);
  const tabId = listed.some(({ id }) => id === (focusId ?? activeId))
    ? (focusId ?? activeId)
    : listed[0]?.id;

  // A chat that arrow keys lead to is rendered first, and then focused.
  useEffect(() => {
    if (focusId === null) return;
    const rows = Array.from(list.current?.querySelectorAll<HTMLElement>("[data-chat]") ?? []);
    rows.find((row) => row.dataset.chat === focusId)?.focus();
  }, [focusId, span.top]);

  const close = () => {
    setAsked(null);
  };
  const toggleFolder = (id: string) => {
    setOpened((now) => {
      const next = new Set(now);
      if (!next.delete(id)) next.add(id);
      return next;
    });
  };
  const deleteChats = async (chats: readonly Session[]) => {
    const open = chats.find(({ id }) => id === activeId);
    await remove(chats.map(({ id }) => id));
    close();
    onSelecting(false);
    // The focused button was removed with its row.
    list.current?.focus();
    for (const { id } of chats) onDeleted(id);
    actions.offerUndo(chats, () => {
      if (open) onBack(open.id);
    });
  };
  const keyDown = (event: KeyboardEvent<HTMLElement>) => {
    const { target } = event;
    if (event.defaultPrevented || !(target instanceof HTMLElement)) return;
    if (event.key === "Escape" && selecting) onSelecting(false);
    const from = listed.findIndex(({ id }) => id === target.dataset.chat);
    const steps: Record<string, number> = {
      ArrowDown: from + 1,
      ArrowUp: from - 1,
      Home: 0,
      End: listed.length - 1,
    };
    const next = listed[steps[event.key] ?? -1];
    if (from < 0 || !next) return;
    event.preventDefault();
    const place = placeOf(groups, heights, next.id);
    const frame = list.current;
    if (frame && place !== null) {
      const last = place + heights.chat - frame.clientHeight;
      frame.scrollTop = Math.min(place, Math.max(frame.scrollTop, last));
    }
    setFocusId(next.id);
  };
  const moveTo = (folderId: string | null) => (event: DragEvent) => {
    const ids = draggedChats(event);
    if (ids.length === 0) return;
    event.preventDefault();
    actions.move(sessions.filter(({ id }) => ids.includes(id)), folderId);
  };

  return (
    <>
      <nav
        ref={list}
        aria-label={t("sessions.label")}
        tabIndex={-1}
        onKeyDown={keyDown}
        className="min-h-0 flex-1 overflow-y-auto px-2 pb-4 focus:outline-none"
      >
        <EmptyList />
        <div style={{ height: above }} />
        {shown.map((part) => (
          <Part key={part.group.key} part={part} onDropped={moveTo(part.group.folder?.id ?? null)}>
            {part.group.folder && (
              <FolderHeading
                folder={part.group.folder}
                count={part.group.count}
                open={opened.has(part.group.key)}
                onToggle={() => {
                  toggleFolder(part.group.key);
                }}
                onNew={props.onNewIn}
                onChange={(folder) => {
                  setAsked({ kind: "folder", folder });
                }}
                onDelete={(folder) => {
                  setAsked({ kind: "removeFolder", folder });
                }}
              />
            )}
            {part.sessions.map((session) => (
              <li key={session.id} className={part.group.folder ? "ps-6 pb-px" : "pb-px"}>
                <SessionRow
                  session={session}
                  active={session.id === activeId}
                  inTabOrder={session.id === tabId}
                  href={hrefOf(session.id)}
                  selection={selection}
                  when={repeated.has(sessionTitle(session, t)) ? formatWhen(session.updated_at) : null}
                  onOpen={onOpen}
                  onRename={(title) => {
                    actions.rename(session, title);
                  }}
                  onPin={() => {
                    actions.togglePin(session);
                  }}
                  onMove={() => {
                    setAsked({ kind: "move", chats: [session] });
                  }}
                  onUseForFolder={
                    part.group.folder && session.settings
                      ? () => {
                          actions.useForFolder(session);
                        }
                      : undefined
                  }
                  onSelect={() => {
                    selection.toggle(session.id);
                  }}
                  onExport={(format) => {
                    if (format === "json") actions.download([session]);
                    else onExport(session, format);
                  }}
                  onDelete={() => {
                    setAsked({ kind: "delete", chats: [session] });
                  }}
                />
              </li>
            ))}
          </Part>
        ))}
        <div style={{ height: below }} />
      </nav>
      {selecting && (
        <SelectionBar
          count={selection.chats.length}
          onMove={() => {
            setAsked({ kind: "move", chats: selection.chats });
          }}
          onExport={() => {
            actions.download(selection.chats);
          }}
          onDelete={() => {
            setAsked({ kind: "delete", chats: selection.chats });
          }}
          onClose={() => {
            onSelecting(false);
          }}
        />
      )}
      {asked?.kind === "delete" && (
        <DeleteDialog
          chats={asked.chats}
          onCancel={close}
          onDelete={() => deleteChats(asked.chats)}
        />
      )}
      <Suspense fallback={null}>
        {asked?.kind === "move" && (
          <MoveDialog
            chats={asked.chats}
            onClose={close}
            onMove={(folderId) => {
              actions.move(asked.chats, folderId);
              onSelecting(false);
              close();
            }}
          />
        )}
        {asked?.kind === "folder" && <FolderDialog folder={asked.folder} onClose={close} />}
        {asked?.kind === "removeFolder" && (
          <RemoveFolderDialog folder={asked.folder} onClose={close} />
        )}
      </Suspense>
    </>
  );
}

interface PartProps {
  part: ShownGroup;
  /** Chats are dropped on it. */
  onDropped: (event: DragEvent) => void;
  /** The folder's heading, and the chats. */
  children: [React.ReactNode, React.ReactNode];
}

/** One group: a heading, and the chats that are in sight. */
function Part({ part, onDropped, children: [heading, chats] }: PartProps) {
  const { group, above, below } = part;
  const [over, setOver] = useState(false);
  return (
    <section
      aria-label={group.label}
      onDragOver={(event) => {
        if (!event.dataTransfer.types.includes("application/x-chats")) return;
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => {
        setOver(false);
      }}
      onDrop={(event) => {
        setOver(false);
        onDropped(event);
      }}
      className={classNames("rounded-control", over && "bg-hover")}
    >
      {heading ?? (
        <h2 className="flex h-9 items-end px-3 pb-1 text-xs font-medium text-faint">
          {group.label}
        </h2>
      )}
      <ul style={{ paddingTop: above, paddingBottom: below }}>{chats}</ul>
    </section>
  );
}

/** Shown in place of an empty list. */
function EmptyList() {
  const { t } = useTranslation();
  const phase = useSessions((state) => state.phase);
  const none = useSessions((state) => state.sessions.length === 0 && state.folders.length === 0);
  const load = useSessions((state) => state.load);
  if (phase === "failed") {
    return (
      <div className="px-3 pt-4 text-sm text-muted">
        <p>{t("sessions.notRead")}</p>
        <Button className="mt-3" onClick={() => void load()}>
          {t("app.tryAgain")}
        </Button>
      </div>
    );
  }
  if (phase !== "ready" || !none) return null;
  return <p className="px-3 pt-4 text-sm text-faint">{t("sessions.none")}</p>;
}
