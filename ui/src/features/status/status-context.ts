import { createContext, use } from "react";
import { useStore } from "zustand";

import type { StatusState, StatusStore } from "@/features/status/status-store";

export const StatusContext = createContext<StatusStore | null>(null);

export function useStatus<T>(select: (state: StatusState) => T): T {
  const store = use(StatusContext);
  if (!store) throw new Error("useStatus needs a StatusContext around it.");
  return useStore(store, select);
}
