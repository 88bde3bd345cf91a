import { useEffect, useState } from "react";
import { useStore } from "zustand";

import { compose } from "@/app/compose";
import { Layout } from "@/app/layout";
import { goTo, useView } from "@/app/views";
import { preloadMarkdown } from "@/components/markdown/markdown";
import { ChatContext } from "@/features/chat/chat-context";
import { ChatView } from "@/features/chat/chat-view";
import { sessionTitle } from "@/features/sessions/session-title";
import { SessionsContext } from "@/features/sessions/sessions-context";
import { OfflineBanner } from "@/features/status/offline-banner";
import { StatusContext } from "@/features/status/status-context";
import { servingModel, type StatusState } from "@/features/status/status-store";
import { WarmUp } from "@/features/status/warm-up";

export function App() {
  const [{ chat, sessions, status }] = useState(compose);
  const { sessionId } = useView();
  const session = useStore(sessions, (state) =>
    state.sessions.find(({ id }) => id === sessionId),
  );
  const hold = useStore(status, holdOf);
  const able = useStore(status, isAble);
  const title = session ? sessionTitle(session) : null;

  useEffect(() => {
    void sessions.getState().load();
    preloadMarkdown();
    return status.getState().watch();
  }, [sessions, status]);

  useEffect(() => {
    chat.getState().open(sessionId);
  }, [chat, sessionId]);

  useEffect(() => {
    document.title = title ?? "Appliance";
  }, [title]);

  return (
    <StatusContext value={status}>
      <SessionsContext value={sessions}>
        <ChatContext value={chat}>
          <Layout activeId={sessionId} title={title} banner={<OfflineBanner />}>
            <ChatView
              hold={hold}
              about={<WarmUp />}
              able={able}
              onNewChat={() => {
                goTo(null);
              }}
            />
          </Layout>
        </ChatContext>
      </SessionsContext>
    </StatusContext>
  );
}

/** Whether there is a model that answers, now or soon. Not known yet counts as yes. */
function isAble({ server }: StatusState): boolean {
  return server === null || ![undefined, "failed"].includes(servingModel(server)?.state);
}

/** Why nothing can be sent now. A sleeping model wakes when it is asked, so it holds nothing up. */
function holdOf({ reach, server }: StatusState): string | null {
  const model = servingModel(server);
  if (reach === "down" || model?.state !== "loading") return null;
  const percent = Math.round(model.progress * 100);
  return `Loading the model, ${percent} %. You can write already.`;
}
