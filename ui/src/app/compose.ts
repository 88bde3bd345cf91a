import { becomeSession } from "@/app/views";
import { createChatStore, type ChatStore } from "@/features/chat/chat-store";
import { createSessionsStore, type SessionsStore } from "@/features/sessions/sessions-store";
import { createStatusStore, type StatusStore } from "@/features/status/status-store";

export interface Stores {
  chat: ChatStore;
  sessions: SessionsStore;
  status: StatusStore;
}

/** Builds every store and ties them together; they do not know each other. */
export function compose(): Stores {
  const status = createStatusStore({
    onBack() {
      void sessions.getState().load();
      chat.getState().reload();
    },
  });
  const { probe } = status.getState();
  const sessions = createSessionsStore({ onUnreachable: probe });
  const chat = createChatStore({
    onSessionCreated(session) {
      sessions.getState().add(session);
      becomeSession(session.id);
    },
    onSessionChanged() {
      void sessions.getState().load();
    },
    onUnreachable: probe,
  });
  return { chat, sessions, status };
}
