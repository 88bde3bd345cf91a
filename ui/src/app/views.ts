import { useMemo, useSyncExternalStore } from "react";

/** Views beside the chat; each is fetched when it is opened. */
export const sideViews = ["models", "keys", "status"] as const;

export type SideView = (typeof sideViews)[number];

/** Where the page is, as its address says it after the #. */
export interface View {
  name: "chat" | SideView;
  /** null: a new chat. */
  sessionId: string | null;
  /** The message to show. */
  messageId: string | null;
}

const newChat: View = { name: "chat", sessionId: null, messageId: null };

export function hrefOfSession(sessionId: string | null, messageId: string | null = null): string {
  if (sessionId === null) return "#/";
  const message = messageId === null ? "" : `/m/${encodeURIComponent(messageId)}`;
  return `#/s/${encodeURIComponent(sessionId)}${message}`;
}

export function hrefOfView(view: SideView): string {
  return `#/${view}`;
}

export function viewOf(hash: string): View {
  const name = sideViews.find((view) => hrefOfView(view) === hash);
  if (name) return { ...newChat, name };
  const [, session, message] = /^#\/s\/([^/]+)(?:\/m\/([^/]+))?$/.exec(hash) ?? [];
  if (session === undefined) return newChat;
  try {
    return {
      name: "chat",
      sessionId: decodeURIComponent(session),
      messageId: message === undefined ? null : decodeURIComponent(message),
    };
  } catch {
    return newChat;
  }
}

export function goTo(href: string) {
  location.hash = href;
}

/** Without a step for the browser's Back: a new chat that got its session is no step. */
export function becomeSession(sessionId: string) {
  location.replace(hrefOfSession(sessionId));
}

function subscribe(changed: () => void) {
  window.addEventListener("hashchange", changed);
  return () => {
    window.removeEventListener("hashchange", changed);
  };
}

export function useView(): View {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  return useMemo(() => viewOf(hash), [hash]);
}
