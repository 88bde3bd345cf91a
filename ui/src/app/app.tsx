import { useEffect, useMemo, useState } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";

import { CommandSheet } from "@/app/command-sheet";
import { useCommands, type Commands } from "@/app/commands";
import { compose, type Stores } from "@/app/compose";
import { Layout } from "@/app/layout";
import { Providers } from "@/app/providers";
import { Rail } from "@/app/rail";
import { SideViewFrame } from "@/app/side-view";
import { goTo, hrefOfSession, hrefOfView, useView, type SideView } from "@/app/views";
import { preloadMarkdown } from "@/components/markdown/markdown";
import { Toasts } from "@/components/toasts";
import { may, type AccessState } from "@/features/access/access-store";
import { SignIn } from "@/features/access/sign-in";
import { SignedIn } from "@/features/access/signed-in";
import { ChatView } from "@/features/chat/chat-view";
import { inputId } from "@/features/chat/composer";
import { SearchDialog } from "@/features/sessions/search-dialog";
import { sessionTitle } from "@/features/sessions/session-title";
import { SettingsPanel } from "@/features/settings/settings-panel";
import { OfflineBanner } from "@/features/status/offline-banner";
import { servingModel, type StatusState } from "@/features/status/status-store";
import { WarmUp } from "@/features/status/warm-up";

type Overlay = "search" | "sheet" | null;

export function App() {
  const [stores] = useState(compose);
  const { t } = useTranslation();
  const view = useView();
  const { sessionId } = view;
  const [overlay, setOverlay] = useState<Overlay>(null);
  const [settingsOpen, setSettingsOpen] = useState(false);
  const railHidden = useStore(stores.preferences, (state) => state.railHidden);
  const setRailHidden = useStore(stores.preferences, (state) => state.setRailHidden);
  const session = useStore(stores.sessions, (state) =>
    state.sessions.find(({ id }) => id === sessionId),
  );
  const asked = useStore(stores.access, (state) => state.asked);
  const locked = useStore(stores.access, isLocked);
  const manages = useStore(stores.access, (state) => may(state, "manage"));
  const admin = useStore(stores.access, (state) => may(state, "admin"));
  const percent = useStore(stores.status, loadingPercent);
  const able = useStore(stores.status, isAble);
  const title = titleOf();
  const allowed = useMemo((): SideView[] => ["models", ...(admin ? ["keys" as const] : []), "status"], [admin]);
  const commands = useMemo(
    (): Commands => ({
      newChat: () => {
        goTo(hrefOfSession(null));
      },
      search: () => {
        setOverlay("search");
      },
      sheet: () => {
        setOverlay("sheet");
      },
      previous: () => {
        step(stores, sessionId, -1);
      },
      next: () => {
        step(stores, sessionId, 1);
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
        allowed.map((name) => [
          name,
          () => {
            goTo(hrefOfView(name));
          },
        ]),
      ),
    }),
    [stores, sessionId, railHidden, setRailHidden, allowed],
  );

  function titleOf(): string | null {
    if (view.name !== "chat") return t(`app.${view.name}`);
    if (session) return sessionTitle(session, t);
    return sessionId === null ? null : t("app.chat");
  }

  useCommands(commands);
  useWatching(stores);

  useEffect(() => {
    if (view.name === "chat") stores.chat.getState().open(view.sessionId, view.messageId);
  }, [stores, view]);

  useEffect(() => {
    if (settingsOpen) void stores.settings.getState().load(sessionId);
  }, [stores, settingsOpen, sessionId]);

  useEffect(() => {
    document.title = title ?? t("app.name");
  }, [title, t]);

  const close = () => {
    setOverlay(null);
  };
  // The page must not be seen for a moment by somebody who then has to sign in.
  if (!asked) return null;
  if (locked) return <SignIn onEnter={stores.access.getState().enter} />;
  return (
    <Providers stores={stores}>
      <Layout
        title={title}
        banner={<OfflineBanner />}
        railHidden={railHidden}
        onHideRail={setRailHidden}
        rail={(place) => (
          <Rail
            view={view}
            allowed={allowed}
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
            <Settings
              stores={stores}
              onClose={() => {
                setSettingsOpen(false);
              }}
            />
          ) : null
        }
        onSettings={setSettingsOpen}
        onNewChat={() => {
          goTo(hrefOfSession(null));
        }}
      >
        {view.name === "chat" ? (
          <ChatView
            hold={percent === null ? null : t("chat.hold", { percent })}
            about={<WarmUp />}
            able={able}
            onNewChat={() => {
              goTo(hrefOfSession(null));
            }}
          />
        ) : (
          <SideViewFrame
            name={view.name}
            manages={manages}
            onModelsChanged={stores.status.getState().probe}
          />
        )}
      </Layout>
      {overlay === "search" && (
        <SearchDialog
          onClose={close}
          onOpen={(id, messageId) => {
            close();
            goTo(hrefOfSession(id, messageId));
          }}
        />
      )}
      {overlay === "sheet" && <CommandSheet commands={commands} onClose={close} />}
      <Toasts />
    </Providers>
  );
}

function Settings({ stores, onClose }: { stores: Stores; onClose: () => void }) {
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
    void access.getState().ask();
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
function step({ sessions }: Stores, sessionId: string | null, by: number) {
  const list = sessions.getState().sessions;
  const at = list.findIndex(({ id }) => id === sessionId);
  const next = list[at < 0 ? 0 : at + by];
  if (next) goTo(hrefOfSession(next.id));
}

/** Whether nothing is to be had without a key. */
function isLocked({ me }: AccessState): boolean {
  return me !== null && me.auth && me.scope === null;
}

/** Whether there is a model that answers, now or soon. Not known yet counts as yes. */
function isAble({ server }: StatusState): boolean {
  return server === null || ![undefined, "failed"].includes(servingModel(server)?.state);
}

/** How far the model is that nothing can be sent to yet. A sleeping one wakes when it is asked. */
function loadingPercent({ reach, server }: StatusState): number | null {
  const model = servingModel(server);
  if (reach === "down" || model?.state !== "loading") return null;
  return Math.round(model.progress * 100);
}
