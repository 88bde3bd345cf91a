import { createStore, type StoreApi } from "zustand/vanilla";

import { changePreset, createPreset, deletePreset, listPresets, type PresetChange } from "@/api/settings";
import type { Preset, Settings } from "@/api/types";

export interface PresetsState {
  /** By name. */
  presets: readonly Preset[];

  /** Loads them; without success, those known so far stay. */
  load: () => Promise<void>;
  /** These three throw if the server refuses. */
  create: (name: string, settings: Settings) => Promise<void>;
  change: (id: string, change: PresetChange) => Promise<void>;
  remove: (id: string) => Promise<void>;
}

export type PresetsStore = StoreApi<PresetsState>;

function sorted(presets: readonly Preset[]): readonly Preset[] {
  return presets.toSorted((one, other) => one.name.localeCompare(other.name));
}

export function createPresetsStore(): PresetsStore {
  return createStore<PresetsState>()((set) => ({
    presets: [],
    async load() {
      try {
        set({ presets: sorted(await listPresets()) });
      } catch {
        // Loaded again when the server is back.
        return;
      }
    },
    async create(name, settings) {
      const made = await createPreset(name, settings);
      set(({ presets }) => ({ presets: sorted([...presets, made]) }));
    },
    async change(id, change) {
      const changed = await changePreset(id, change);
      set(({ presets }) => ({
        presets: sorted(presets.map((one) => (one.id === id ? changed : one))),
      }));
    },
    async remove(id) {
      await deletePreset(id);
      set(({ presets }) => ({ presets: presets.filter((one) => one.id !== id) }));
    },
  }));
}
