import { overSocket } from "@/api/reply-transport";
import { ChatSocket } from "@/api/socket";
import { isUnset } from "@/api/settings";
import { hrefOfSession, navigate, parseRoute, replaceWithSession } from "@/app/router";
import { createToastStore, type ToastStore } from "@/components/toasts";
import { createAccessStore, type AccessStore } from "@/features/access/access-store";
import { createChatStore, type ChatStore } from "@/features/chat/state/chat-store";
import { keepDrafts } from "@/features/chat/state/draft-keeper";
import { createPresetsStore, type PresetsStore } from "@/features/presets/presets-store";
import { createSessionsStore, type SessionsStore } from "@/features/sessions/sessions-store";
import {
  createPreferencesStore,
  type PreferencesStore,
} from "@/features/settings/preferences-store";
import {
  chosenModel,
  createSettingsStore,
  type SettingsStore,
} from "@/features/settings/settings-store";
import { createStatusStore, type StatusStore } from "@/features/status/status-store";

export interface Stores {
  /** Reads what was typed and not sent, here or on another device. */
  readDrafts: () => Promise<void>;
  access: AccessStore;
  chat: ChatStore;
  sessions: SessionsStore;
  status: StatusStore;
  settings: SettingsStore;
  preferences: PreferencesStore;
  presets: PresetsStore;
  toasts: ToastStore;
}

/** Creates every store and connects them; the stores do not know each other. */
export function compose(): Stores {
  const status = createStatusStore({
    onBack() {
      void access.getState().check();
      void sessions.getState().load();
      chat.getState().reload();
      void preferences.getState().load();
      void presets.getState().load();
      loadSettings();
    },
  });
  const { probe } = status.getState();
  const sessions = createSessionsStore({
    onUnreachable: probe,
    onList(list) {
      const { sessionId } = chat.getState();
      const open = list.find(({ id }) => id === sessionId);
      if (open) chat.getState().syncSession(open);
    },
  });
  const socket = new ChatSocket(`${location.origin.replace(/^http/, "ws")}/chat/ws`);
  const chat = createChatStore({
    transport: overSocket(socket),
    newChatSettings() {
      const { draft } = settings.getState();
      return isUnset(draft) ? null : draft;
    },
    onSessionCreated(session) {
      sessions.getState().add(session);
      settings.getState().adopt(session);
      replaceWithSession(session.id);
    },
    onSessionRefused(id) {
      void sessions.getState().load();
      if (parseRoute(location.hash).sessionId === id) replaceWithSession(null);
    },
    onBranch(session) {
      sessions.getState().add(session);
      navigate(hrefOfSession(session.id));
    },
    onSessionChanged() {
      void sessions.getState().load();
    },
    onReplyFailed: probe,
    onUnreachable: probe,
    onLockedOut() {
      void access.getState().check();
    },
  });
  const readDrafts = keepDrafts(chat);
  const settings = createSettingsStore({
    onUnreachable: probe,
    onSessionChanged() {
      void sessions.getState().load();
    },
  });
  const access = createAccessStore({
    onEntered() {
      probe();
      void sessions.getState().load();
      chat.getState().reload();
      void readDrafts();
      void preferences.getState().load();
      void presets.getState().load();
      loadSettings();
    },
    onLeft() {
      location.reload();
    },
  });
  const preferences = createPreferencesStore();
  const presets = createPresetsStore();
  const loadSettings = () => void settings.getState().load(settings.getState().sessionId);
  settings.subscribe((state) => {
    status.getState().choose(chosenModel(state));
  });
  return {
    readDrafts,
    access,
    chat,
    sessions,
    status,
    settings,
    preferences,
    presets,
    toasts: createToastStore(),
  };
}
