import { useState, type ReactNode } from "react";

import { Rail } from "@/app/rail";
import { goTo } from "@/app/views";
import { IconButton } from "@/components/button";
import { Modal } from "@/components/dialog";
import { PanelIcon, PlusIcon } from "@/components/icons";
import { classNames } from "@/lib/class-names";
import { useMediaQuery } from "@/lib/use-media-query";
import { useStoredFlag } from "@/lib/use-stored-flag";

interface LayoutProps {
  activeId: string | null;
  /** The chat's title; null for a new chat. */
  title: string | null;
  banner: ReactNode;
  children: ReactNode;
}

/** The rail at the left, or a sheet over the page where there is no room for it. */
export function Layout({ activeId, title, banner, children }: LayoutProps) {
  const wide = useMediaQuery("(min-width: 48rem)");
  const [hidden, setHidden] = useStoredFlag("rail-hidden");
  const [sheet, setSheet] = useState(false);
  const railShown = wide && !hidden;
  const closeSheet = () => {
    setSheet(false);
  };

  return (
    <div className="flex h-full overflow-hidden">
      {wide && (
        <aside
          aria-label="Chats and model"
          inert={hidden}
          className={classNames(
            "w-65 shrink-0 border-r border-line bg-rail transition-[margin,visibility]",
            hidden && "invisible -ml-65",
          )}
        >
          <Rail activeId={activeId} onChosen={closeSheet} />
        </aside>
      )}
      {!wide && sheet && (
        <Modal
          label="Chats and model"
          onClose={closeSheet}
          className="m-0 h-dvh max-h-none w-[min(20rem,85vw)] animate-slide-in border-r border-line bg-rail"
        >
          <Rail activeId={activeId} onClose={closeSheet} onChosen={closeSheet} />
        </Modal>
      )}
      <main className="flex min-w-0 flex-1 flex-col">
        {banner}
        <header className="flex h-13 shrink-0 items-center gap-1 px-2">
          <IconButton
            label={railShown ? "Hide chats" : "Show chats"}
            aria-expanded={railShown}
            onClick={() => {
              if (wide) setHidden(railShown);
              else setSheet(true);
            }}
          >
            <PanelIcon />
          </IconButton>
          {title === null ? (
            <div className="flex-1">{activeId !== null && <h1 className="sr-only">Chat</h1>}</div>
          ) : (
            <h1 className="min-w-0 flex-1 truncate px-2 text-sm font-medium text-muted">{title}</h1>
          )}
          {!railShown && !sheet && (
            <IconButton
              label="New chat"
              onClick={() => {
                goTo(null);
              }}
            >
              <PlusIcon />
            </IconButton>
          )}
        </header>
        {children}
      </main>
    </div>
  );
}
