import { useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { Button, IconButton } from "@/components/button";
import { Modal } from "@/components/dialog";
import { PanelIcon, PlusIcon, SettingsIcon } from "@/components/icons";
import { classNames } from "@/lib/class-names";
import { useMediaQuery } from "@/lib/use-media-query";

interface LayoutProps {
  /** Renders the rail; `onClose` is given if it is shown as a sheet over the page. */
  rail: (place: { onClose?: () => void; onChosen: () => void }) => ReactNode;
  railHidden: boolean;
  onHideRail: (hidden: boolean) => void;
  /** null: closed. */
  settings: ReactNode;
  onSettings: (open: boolean) => void;
  onNewChat: () => void;
  /** The page's heading; null if the view has its own. */
  title: string | null;
  /** Below the heading: the model of a chat. */
  head?: ReactNode;
  banner: ReactNode;
  children: ReactNode;
}

/** The id of the element beside the rail. */
export const mainId = "main";

/**
 * The rail at the start, the settings at the end: beside the page if there is room, otherwise as
 * sheets over it.
 */
export function Layout(props: LayoutProps) {
  const { rail, railHidden, onHideRail, settings, onSettings, onNewChat, title } = props;
  const { t } = useTranslation();
  const wide = useMediaQuery("(min-width: 48rem)");
  const roomy = useMediaQuery("(min-width: 72rem)");
  const [sheet, setSheet] = useState(false);
  const railShown = wide && !railHidden;
  const closeSheet = () => {
    setSheet(false);
  };
  const closeSettings = () => {
    onSettings(false);
  };

  return (
    <div className="flex h-full overflow-hidden">
      {wide && (
        <aside
          aria-label={t("app.rail")}
          inert={railHidden}
          className={classNames(
            "w-65 shrink-0 border-e border-line bg-rail transition-[margin,visibility]",
            railHidden && "invisible -ms-65",
          )}
        >
          {rail({ onChosen: closeSheet })}
        </aside>
      )}
      {!wide && sheet && (
        <Modal
          label={t("app.rail")}
          onClose={closeSheet}
          className="my-0 ms-0 me-auto h-dvh max-h-none w-[min(20rem,85vw)] animate-slide-in border-e border-line bg-rail"
        >
          {rail({ onClose: closeSheet, onChosen: closeSheet })}
        </Modal>
      )}
      <main id={mainId} tabIndex={-1} className="flex min-w-0 flex-1 flex-col focus:outline-none">
        {props.banner}
        <header className="flex h-13 shrink-0 items-center gap-1 px-2">
          <IconButton
            label={railShown ? t("app.hideRail") : t("app.showRail")}
            aria-expanded={railShown}
            onClick={() => {
              if (wide) onHideRail(railShown);
              else setSheet(true);
            }}
          >
            <PanelIcon className="size-4.5 rtl:-scale-x-100" />
          </IconButton>
          <div className="min-w-0 flex-1">
            {title !== null && (
              <h1
                dir="auto"
                className="truncate px-2 text-start text-sm leading-5 font-medium text-muted"
              >
                {title}
              </h1>
            )}
            {props.head}
          </div>
          {!railShown && !sheet && (
            <IconButton label={t("app.newChat")} onClick={onNewChat}>
              <PlusIcon />
            </IconButton>
          )}
          <Button
            variant="quiet"
            aria-label={t("app.settings")}
            aria-expanded={settings !== null}
            className="max-md:size-9 max-md:px-0"
            onClick={() => {
              onSettings(settings === null);
            }}
          >
            <SettingsIcon />
            <span className="max-md:hidden">{t("app.settings")}</span>
          </Button>
        </header>
        {props.children}
      </main>
      {settings !== null && roomy && (
        <aside
          aria-label={t("app.settings")}
          className="w-84 shrink-0 animate-arrive border-s border-line bg-rail"
        >
          {settings}
        </aside>
      )}
      {settings !== null && !roomy && (
        <Modal
          label={t("app.settings")}
          onClose={closeSettings}
          className="my-0 ms-auto me-0 h-dvh max-h-none w-[min(22rem,100vw)] max-w-none animate-slide-in-end border-s border-line bg-rail"
        >
          {settings}
        </Modal>
      )}
    </div>
  );
}
