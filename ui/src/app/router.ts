import { useMemo, useSyncExternalStore } from "react";

import { pageViews, type PageViewName } from "@/app/views";

/** Where the page is: what its address has after the #. */
export interface Route {
  view: "chat" | PageViewName;
  /** null: a new chat. */
  sessionId: string | null;
  /** The message to scroll to. */
  messageId: string | null;
}

const newChat: Route = { view: "chat", sessionId: null, messageId: null };

export function hrefOfSession(sessionId: string | null, messageId: string | null = null): string {
  if (sessionId === null) return "#/";
  const message = messageId === null ? "" : `/m/${encodeURIComponent(messageId)}`;
  return `#/s/${encodeURIComponent(sessionId)}${message}`;
}

export function hrefOfView(name: PageViewName): string {
  return `#/${name}`;
}

/** The route of an address; of one that means nothing, a new chat. */
export function parseRoute(hash: string): Route {
  const view = pageViews.find(({ name }) => hrefOfView(name) === hash);
  if (view) return { ...newChat, view: view.name };
  const [, session, message] = /^#\/s\/([^/]+)(?:\/m\/([^/]+))?$/.exec(hash) ?? [];
  if (session === undefined) return newChat;
  try {
    return {
      view: "chat",
      sessionId: decodeURIComponent(session),
      messageId: message === undefined ? null : decodeURIComponent(message),
    };
  } catch {
    return newChat;
  }
}

export function navigate(href: string) {
  location.hash = href;
}

/** Gives a new chat the address of its session, without a step for the browser's Back. */
export function replaceWithSession(sessionId: string) {
  location.replace(hrefOfSession(sessionId));
}

function subscribe(onChange: () => void) {
  window.addEventListener("hashchange", onChange);
  return () => {
    window.removeEventListener("hashchange", onChange);
  };
}

export function useRoute(): Route {
  const hash = useSyncExternalStore(subscribe, () => location.hash);
  return useMemo(() => parseRoute(hash), [hash]);
}
