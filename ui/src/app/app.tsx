import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";

import { ClosingDialog } from "@/app/closing-dialog";
import { onLockedOut } from "@/api/client";
import { ChatHead } from "@/app/chat-head";
import { useCommands, type Commands } from "@/app/commands";
import { compose, type Stores } from "@/app/compose";
import { Layout } from "@/app/layout";
import { OpenChat } from "@/app/open-chat";
import { OpenSettings } from "@/app/open-settings";
import { Printing } from "@/app/printing";
import { Providers } from "@/app/providers";
import { Rail } from "@/app/rail";
import type { DeviceStatus, ModelStatus } from "@/api/types";
import { hrefOfSession, hrefOfTemporary, hrefOfView, navigate, useRoute } from "@/app/router";
import { SkipLink } from "@/app/skip-link";
import { SideView } from "@/app/side-view";
import { pageViews } from "@/app/views";
import { preloadMarkdown } from "@/components/markdown/markdown";
import { Toasts } from "@/components/toasts";
import { may, type AccessState } from "@/features/access/access-store";
import { NotAdmitted } from "@/features/access/not-admitted";
import { SignIn } from "@/features/access/sign-in";
import { inputId } from "@/features/chat/components/composer";
import type { WholeChat } from "@/features/exports/whole-chat";
import { sessionTitle } from "@/features/sessions/session-title";
import { MissingBanner } from "@/features/models/missing-banner";
import { OfflineBanner } from "@/features/status/offline-banner";
import { StorageBanner } from "@/features/status/storage-banner";

// Fetched when they are opened for the first time.
const CommandSheet = lazy(async () => ({
  default: (await import("@/app/command-sheet")).CommandSheet,
}));
const SearchDialog = lazy(async () => ({
  default: (await import("@/features/sessions/search-dialog")).SearchDialog,
}));

type Overlay = "search" | "sheet" | null;

export function App() {
  const [stores] = useState(compose);
  const { t } = useTranslation();
  const route = useRoute();
  const { sessionId } = route;
  const [overlay, setOverlay] = useState<Overlay>(null);
  const [printed, setPrinted] = useState<WholeChat | null>(null);
  const [settingsOpen, setSettingsOpen] = useState(false);
  const railHidden = useStore(stores.preferences, (state) => state.railHidden);
  const setRailHidden = useStore(stores.preferences, (state) => state.setRailHidden);
  const session = useStore(stores.sessions, (state) =>
    state.sessions.find(({ id }) => id === sessionId),
  );
  const folderName = useStore(
    stores.sessions,
    (state) => state.folders.find(({ id }) => id === route.folderId)?.name,
  );
  const accessChecked = useStore(stores.access, (state) => state.checked);
  const locked = useStore(stores.access, isLocked);
  const me = useStore(stores.access, (state) => state.me);
  const expired = useStore(stores.access, (state) => state.expired);
  const reason = useStore(stores.access, (state) => state.reason);
  const [modelsOpened, setModelsOpened] = useState(0);
  const models = useStore(stores.status, ({ server }) => server?.models ?? noModels);
  const devices = useStore(stores.status, ({ server }) => server?.devices ?? noDevices);
  const choices = useMemo(() => ({ models, devices }), [models, devices]);
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
    if (route.temporary) return t("temporary.title");
    if (folderName !== undefined) return t("folders.newIn", { name: folderName });
    return sessionId === null ? null : t("app.chat");
  }

  useCommands(commands);
  useWatching(stores);

  useEffect(() => {
    if (route.view === "chat") stores.chat.getState().open(route.sessionId, route.messageId, route);
  }, [stores, route]);

  useEffect(() => {
    if (!locked && accessChecked) void stores.settings.getState().load(sessionId);
  }, [stores, sessionId, settingsOpen, locked, accessChecked]);

  useEffect(() => {
    document.title = title ?? t("app.name");
  }, [title, t]);

  const close = () => {
    setOverlay(null);
  };
  const openModels = useCallback(() => {
    setModelsOpened((count) => count + 1);
  }, []);
  const modelsChanged = useCallback(() => {
    stores.status.getState().probe();
    void stores.settings.getState().load(stores.settings.getState().sessionId);
  }, [stores]);
  // The page must not flash up before the sign-in form.
  if (!accessChecked) return null;
  if (me !== null && !me.auth && me.scope === null) return <NotAdmitted reason={reason} />;
  if (locked) return <SignIn expired={expired} onEnter={stores.access.getState().enter} />;
  return (
    <Providers stores={stores}>
      <SkipLink toInput={route.view === "chat"} />
      <Layout
        title={title}
        head={route.view === "chat" && <ChatHead stores={stores} opened={modelsOpened} />}
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
            onPrint={setPrinted}
            route={route}
            views={views}
            onSearch={() => {
              setOverlay("search");
            }}
            onSheet={() => {
              setOverlay("sheet");
            }}
            onTemporary={() => {
              stores.chat.getState().forgetTemporary();
              navigate(hrefOfTemporary);
            }}
            {...place}
          />
        )}
        settings={
          settingsOpen ? (
            <OpenSettings
              stores={stores}
              choices={choices}
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
          <OpenChat stores={stores} onModels={openModels} />
        ) : (
          <SideView
            name={route.view}
            manages={may(me, "manage")}
            choices={choices}
            onModelsChanged={modelsChanged}
          />
        )}
      </Layout>
      <Printing
        stores={stores}
        asked={printed}
        onDone={() => {
          setPrinted(null);
        }}
      />
      <Suspense fallback={null}>
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
      </Suspense>
      <ClosingDialog />
      <Toasts />
    </Providers>
  );
}

function useWatching({ access, preferences, presets, readDrafts, sessions, status }: Stores) {
  useEffect(() => {
    preloadMarkdown();
    void access.getState().check();
    void preferences.getState().load();
    void presets.getState().load();
    void readDrafts();
    const stopLockedOut = onLockedOut((reason) => void access.getState().check(reason));
    const stopSessions = sessions.getState().watch();
    const stopStatus = status.getState().watch();
    return () => {
      stopLockedOut();
      stopSessions();
      stopStatus();
    };
  }, [access, preferences, presets, readDrafts, sessions, status]);
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
const noDevices: readonly DeviceStatus[] = [];
