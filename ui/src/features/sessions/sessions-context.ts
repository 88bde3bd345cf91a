import { createContext, use } from "react";
import { useStore } from "zustand";

import type { SessionsState, SessionsStore } from "@/features/sessions/sessions-store";

export const SessionsContext = createContext<SessionsStore | null>(null);

export function useSessions<T>(select: (state: SessionsState) => T): T {
  const store = use(SessionsContext);
  if (!store) throw new Error("useSessions needs a SessionsContext around it.");
  return useStore(store, select);
}
