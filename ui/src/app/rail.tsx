import { useTranslation } from "react-i18next";

import { goTo, hrefOfSession, hrefOfView, sideViews, type SideView, type View } from "@/app/views";
import { Button, IconButton } from "@/components/button";
import {
  CloseIcon,
  KeyboardIcon,
  KeyIcon,
  ModelIcon,
  PlusIcon,
  PulseIcon,
  SearchIcon,
} from "@/components/icons";
import { ImportButton } from "@/features/sessions/import-button";
import { SessionList } from "@/features/sessions/session-list";
import { ModelLine } from "@/features/status/model-line";
import { classNames } from "@/lib/class-names";

interface RailProps {
  view: View;
  /** Views that this caller may open. */
  allowed: readonly SideView[];
  onSearch: () => void;
  onSheet: () => void;
  /** Given where the rail lies over the page and has to go away again. */
  onClose?: () => void;
  /** Something was chosen in it. */
  onChosen: () => void;
}

const viewIcons = { models: ModelIcon, keys: KeyIcon, status: PulseIcon };

/** Chats above, the appliance below. */
export function Rail({ view, allowed, onSearch, onSheet, onClose, onChosen }: RailProps) {
  const { t } = useTranslation();
  const activeId = view.name === "chat" ? view.sessionId : null;
  const open = (href: string) => {
    goTo(href);
    onChosen();
  };
  return (
    <div className="flex h-full w-full flex-col">
      <div className="flex h-13 shrink-0 items-center gap-1 px-2">
        <Button
          look="quiet"
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
        <ImportButton
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
        onDeleted={(sessionId) => {
          if (sessionId === activeId) goTo(hrefOfSession(null));
        }}
        onBack={(sessionId) => {
          goTo(hrefOfSession(sessionId));
        }}
      />
      <div className="shrink-0 border-t border-line p-2">
        <nav aria-label={t("app.views")} className="flex items-center gap-px">
          {sideViews
            .filter((name) => allowed.includes(name))
            .map((name) => {
              const Icon = viewIcons[name];
              return (
                <a
                  key={name}
                  href={hrefOfView(name)}
                  aria-current={view.name === name ? "page" : undefined}
                  onClick={onChosen}
                  className={classNames(
                    "flex min-h-9 flex-1 items-center justify-center gap-1.5 rounded-control px-2 text-[0.8125rem] hover:bg-hover hover:text-text pointer-coarse:min-h-11",
                    view.name === name ? "bg-hover text-text" : "text-muted",
                  )}
                >
                  <Icon className="size-4" />
                  {t(`app.${name}`)}
                </a>
              );
            })}
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
