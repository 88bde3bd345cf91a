import { useSyncExternalStore } from "react";

/** Where the page is, as its address says it after the #. */
export interface View {
  /** null: a new chat. */
  sessionId: string | null;
}

export function hrefOfSession(sessionId: string | null): string {
  return sessionId === null ? "#/" : `#/s/${encodeURIComponent(sessionId)}`;
}

export function viewOf(hash: string): View {
  const match = /^#\/s\/([^/]+)$/.exec(hash);
  if (!match?.[1]) return { sessionId: null };
  try {
    return { sessionId: decodeURIComponent(match[1]) };
  } catch {
    return { sessionId: null };
  }
}

export function goTo(sessionId: string | null) {
  location.hash = hrefOfSession(sessionId);
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
  return viewOf(useSyncExternalStore(subscribe, () => location.hash));
}
