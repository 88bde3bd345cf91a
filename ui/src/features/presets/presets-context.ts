import { createContext, use } from "react";
import { useStore } from "zustand";

import type { PresetsState, PresetsStore } from "@/features/presets/presets-store";

export const PresetsContext = createContext<PresetsStore | null>(null);

export function usePresets<T>(select: (state: PresetsState) => T): T {
  const store = use(PresetsContext);
  if (!store) throw new Error("usePresets needs a PresetsContext around it.");
  return useStore(store, select);
}
