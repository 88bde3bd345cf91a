import { useMemo, useSyncExternalStore } from "react";

import { pageViews, type PageViewName } from "@/app/views";

/** Where the page is: what its address has after the #. */
export interface Route {
  view: "chat" | PageViewName;
  /** null: a new chat. */
  sessionId: string | null;
  /** The message to scroll to. */
  messageId: string | null;
  /** The folder that a new chat will be in. */
  folderId: string | null;
  /** A chat that is never stored. */
  temporary: boolean;
}

const newChat: Route = {
  view: "chat",
  sessionId: null,
  messageId: null,
  folderId: null,
  temporary: false,
};

export const hrefOfTemporary = "#/temporary";

/** A new chat in a folder. */
export function hrefOfFolder(folderId: string): string {
  return `#/folder/${encodeURIComponent(folderId)}`;
}

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
  if (hash === hrefOfTemporary) return { ...newChat, temporary: true };
  const [, folder] = /^#\/folder\/([^/]+)$/.exec(hash) ?? [];
  const [, session, message] = /^#\/s\/([^/]+)(?:\/m\/([^/]+))?$/.exec(hash) ?? [];
  try {
    if (folder !== undefined) return { ...newChat, folderId: decodeURIComponent(folder) };
    if (session === undefined) return newChat;
    return {
      ...newChat,
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

/** Gives a new chat the address of its session, or takes it back, without a step for the browser's Back. */
export function replaceWithSession(sessionId: string | null) {
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
