import { useState } from "react";
import { useTranslation } from "react-i18next";

import {
  hrefOfFolder,
  hrefOfSession,
  hrefOfView,
  navigate,
  type Route,
} from "@/app/router";
import type { PageView } from "@/app/views";
import { Button, IconButton } from "@/components/button";
import {
  CloseIcon,
  KeyboardIcon,
  PlusIcon,
  SearchIcon,
} from "@/components/icons";
import { useExports } from "@/features/exports/use-exports";
import type { WholeChat } from "@/features/exports/whole-chat";
import { ListMenu } from "@/features/sessions/list-menu";
import { SessionList } from "@/features/sessions/session-list";
import { ModelLine } from "@/features/status/model-line";
import { classNames } from "@/lib/class-names";

interface RailProps {
  route: Route;
  /** The views that this caller may open. */
  views: readonly PageView[];
  onSearch: () => void;
  onSheet: () => void;
  /** A new temporary chat. */
  onTemporary: () => void;
  /** Given if the rail is a sheet over the page, which has to be closed. */
  onClose?: () => void;
  onPrint: (chat: WholeChat) => void;
  /** A chat or a view was chosen. */
  onChosen: () => void;
}

/** The chats, and below them the views and the model. */
export function Rail(props: RailProps) {
  const { route, views, onSearch, onSheet, onTemporary, onPrint, onClose, onChosen } = props;
  const { t } = useTranslation();
  const [selecting, setSelecting] = useState(false);
  const giveAway = useExports(onPrint);
  const activeId = route.view === "chat" ? route.sessionId : null;
  const open = (href: string) => {
    navigate(href);
    onChosen();
  };
  return (
    <div className="flex h-full w-full flex-col">
      <div className="flex h-13 shrink-0 items-center gap-1 px-2">
        <Button
          variant="quiet"
          className="flex-1 justify-start px-3 text-text"
          onClick={() => {
            open(hrefOfSession(null));
          }}
        >
          <PlusIcon />
          {t("app.newChat")}
        </Button>
        <IconButton label={t("app.search")} onClick={onSearch}>
          <SearchIcon />
        </IconButton>
        <ListMenu
          onTemporary={() => {
            onTemporary();
            onChosen();
          }}
          onSelect={() => {
            setSelecting(true);
          }}
          onMade={(id) => {
            open(hrefOfSession(id));
          }}
        />
        {onClose && (
          <IconButton label={t("app.hideRail")} onClick={onClose}>
            <CloseIcon />
          </IconButton>
        )}
      </div>
      <SessionList
        activeId={activeId}
        hrefOf={hrefOfSession}
        onOpen={onChosen}
        onNewIn={(folderId) => {
          open(hrefOfFolder(folderId));
        }}
        selecting={selecting}
        onSelecting={setSelecting}
        onExport={giveAway}
        onDeleted={(sessionId) => {
          if (sessionId === activeId) navigate(hrefOfSession(null));
        }}
        onBack={(sessionId) => {
          navigate(hrefOfSession(sessionId));
        }}
      />
      <div className="shrink-0 border-t border-line p-2">
        <nav aria-label={t("app.views")} className="grid grid-cols-2 gap-px">
          {views.filter(({ listed }) => listed !== false).map(({ name, icon: Icon }) => (
            <a
              key={name}
              href={hrefOfView(name)}
              aria-current={route.view === name ? "page" : undefined}
              onClick={onChosen}
              className={classNames(
                "flex min-h-9 items-center gap-2 rounded-control px-2 text-[0.8125rem] hover:bg-hover hover:text-text pointer-coarse:min-h-11",
                route.view === name ? "bg-hover text-text" : "text-muted",
              )}
            >
              <Icon className="size-4" />
              {t(`app.${name}`)}
            </a>
          ))}
        </nav>
        <div className="flex items-center">
          <ModelLine />
          <IconButton label={t("app.commands")} className="max-md:hidden" onClick={onSheet}>
            <KeyboardIcon />
          </IconButton>
        </div>
      </div>
    </div>
  );
}
