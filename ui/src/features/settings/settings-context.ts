import { createContext, use } from "react";
import { useStore } from "zustand";

import type { SettingsState, SettingsStore } from "@/features/settings/settings-store";

export const SettingsContext = createContext<SettingsStore | null>(null);

export function useSettings<T>(select: (state: SettingsState) => T): T {
  const store = use(SettingsContext);
  if (!store) throw new Error("useSettings needs a SettingsContext around it.");
  return useStore(store, select);
}
