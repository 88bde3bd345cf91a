import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";

import { ClosingDialog } from "@/app/closing-dialog";
import { CommandSheet } from "@/app/command-sheet";
import { useCommands, type Commands } from "@/app/commands";
import { compose, type Stores } from "@/app/compose";
import { Layout } from "@/app/layout";
import { Providers } from "@/app/providers";
import { Rail } from "@/app/rail";
import type { ModelStatus } from "@/api/types";
import { hrefOfSession, hrefOfView, navigate, useRoute } from "@/app/router";
import { SideView } from "@/app/side-view";
import { pageViews } from "@/app/views";
import { preloadMarkdown } from "@/components/markdown/markdown";
import { Toasts } from "@/components/toasts";
import { may, type AccessState } from "@/features/access/access-store";
import { SignIn } from "@/features/access/sign-in";
import { SignedIn } from "@/features/access/signed-in";
import { ChatView } from "@/features/chat/chat-view";
import { inputId } from "@/features/chat/components/composer";
import { SearchDialog } from "@/features/sessions/search-dialog";
import { sessionTitle } from "@/features/sessions/session-title";
import { SettingsPanel } from "@/features/settings/settings-panel";
import { MissingBanner } from "@/features/models/missing-banner";
import { OfflineBanner } from "@/features/status/offline-banner";
import { StorageBanner } from "@/features/status/storage-banner";
import { servingModel, type StatusState } from "@/features/status/status-store";
import { WarmUp } from "@/features/status/warm-up";

type Overlay = "search" | "sheet" | null;

export function App() {
  const [stores] = useState(compose);
  const { t } = useTranslation();
  const route = useRoute();
  const { sessionId } = route;
  const [overlay, setOverlay] = useState<Overlay>(null);
  const [settingsOpen, setSettingsOpen] = useState(false);
  const railHidden = useStore(stores.preferences, (state) => state.railHidden);
  const setRailHidden = useStore(stores.preferences, (state) => state.setRailHidden);
  const session = useStore(stores.sessions, (state) =>
    state.sessions.find(({ id }) => id === sessionId),
  );
  const accessChecked = useStore(stores.access, (state) => state.checked);
  const locked = useStore(stores.access, isLocked);
  const me = useStore(stores.access, (state) => state.me);
  const percent = useStore(stores.status, loadingPercent);
  const able = useStore(stores.status, isAble);
  const models = useStore(stores.status, ({ server }) => server?.models ?? noModels);
  const title = titleOf();
  const views = useMemo(
    () => pageViews.filter(({ scope }) => scope === null || may(me, scope)),
    [me],
  );
  const commands = useMemo(
    (): Commands => ({
      newChat: () => {
        navigate(hrefOfSession(null));
      },
      search: () => {
        setOverlay("search");
      },
      sheet: () => {
        setOverlay("sheet");
      },
      previous: () => {
        openNeighbour(stores, sessionId, -1);
      },
      next: () => {
        openNeighbour(stores, sessionId, 1);
      },
      settings: () => {
        setSettingsOpen((open) => !open);
      },
      rail: () => {
        setRailHidden(!railHidden);
      },
      focus: () => {
        document.getElementById(inputId)?.focus();
      },
      ...Object.fromEntries(
        views.map(({ name }) => [
          name,
          () => {
            navigate(hrefOfView(name));
          },
        ]),
      ),
    }),
    [stores, sessionId, railHidden, setRailHidden, views],
  );

  function titleOf(): string | null {
    if (route.view !== "chat") return t(`app.${route.view}`);
    if (session) return sessionTitle(session, t);
    return sessionId === null ? null : t("app.chat");
  }

  useCommands(commands);
  useWatching(stores);

  useEffect(() => {
    if (route.view === "chat") stores.chat.getState().open(route.sessionId, route.messageId);
  }, [stores, route]);

  useEffect(() => {
    if (settingsOpen) void stores.settings.getState().load(sessionId);
  }, [stores, settingsOpen, sessionId]);

  useEffect(() => {
    document.title = title ?? t("app.name");
  }, [title, t]);

  const close = () => {
    setOverlay(null);
  };
  // The page must not flash up before the sign-in form.
  if (!accessChecked) return null;
  if (locked) return <SignIn onEnter={stores.access.getState().enter} />;
  return (
    <Providers stores={stores}>
      <Layout
        title={title}
        banner={
          <>
            <OfflineBanner />
            <StorageBanner onRestored={() => void stores.sessions.getState().load()} />
            <MissingBanner
              models={models}
              manages={may(me, "manage")}
              onDownload={() => {
                navigate(hrefOfView("models"));
              }}
            />
          </>
        }
        railHidden={railHidden}
        onHideRail={setRailHidden}
        rail={(place) => (
          <Rail
            route={route}
            views={views}
            onSearch={() => {
              setOverlay("search");
            }}
            onSheet={() => {
              setOverlay("sheet");
            }}
            {...place}
          />
        )}
        settings={
          settingsOpen ? (
            <OpenSettings
              stores={stores}
              onClose={() => {
                setSettingsOpen(false);
              }}
            />
          ) : null
        }
        onSettings={setSettingsOpen}
        onNewChat={() => {
          navigate(hrefOfSession(null));
        }}
      >
        {route.view === "chat" ? (
          <ChatView
            hold={percent === null ? null : t("chat.hold", { percent })}
            about={<WarmUp />}
            able={able}
            onNewChat={() => {
              navigate(hrefOfSession(null));
            }}
          />
        ) : (
          <SideView
            name={route.view}
            manages={may(me, "manage")}
            onModelsChanged={stores.status.getState().probe}
          />
        )}
      </Layout>
      {overlay === "search" && (
        <SearchDialog
          onClose={close}
          onOpen={(id, messageId) => {
            close();
            navigate(hrefOfSession(id, messageId));
          }}
        />
      )}
      {overlay === "sheet" && <CommandSheet commands={commands} onClose={close} />}
      <ClosingDialog />
      <Toasts />
    </Providers>
  );
}

function OpenSettings({ stores, onClose }: { stores: Stores; onClose: () => void }) {
  const server = useStore(stores.status, (state) => state.server);
  const me = useStore(stores.access, (state) => state.me);
  const models = server?.models ?? [];
  return (
    <SettingsPanel
      choices={{ models, devices: server?.devices ?? [] }}
      foot={<SignedIn me={me} onLeave={stores.access.getState().leave} />}
      onClose={onClose}
    />
  );
}

function useWatching({ access, preferences, sessions, status }: Stores) {
  useEffect(() => {
    preloadMarkdown();
    void access.getState().check();
    void preferences.getState().load();
    const stopSessions = sessions.getState().watch();
    const stopStatus = status.getState().watch();
    return () => {
      stopSessions();
      stopStatus();
    };
  }, [access, preferences, sessions, status]);
}

/** Opens the chat above or below the open one in the list. */
function openNeighbour({ sessions }: Stores, sessionId: string | null, by: number) {
  const list = sessions.getState().sessions;
  const at = list.findIndex(({ id }) => id === sessionId);
  const next = list[at < 0 ? 0 : at + by];
  if (next) navigate(hrefOfSession(next.id));
}

/** Whether signing in is required. */
function isLocked({ me }: AccessState): boolean {
  return me !== null && me.auth && me.scope === null;
}

const noModels: readonly ModelStatus[] = [];

/** Whether a model can answer, now or soon. Counts as yes until it is known. */
function isAble({ server }: StatusState): boolean {
  return server === null || ![undefined, "failed"].includes(servingModel(server)?.state);
}

/** The progress of a loading model, to which nothing can be sent yet; null if there is none. */
function loadingPercent({ reach, server }: StatusState): number | null {
  const model = servingModel(server);
  if (reach === "down" || model?.state !== "loading") return null;
  return Math.round(model.progress * 100);
}
