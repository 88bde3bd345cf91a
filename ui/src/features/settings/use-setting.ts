import { use } from "react";

import type { Settings } from "@/api/types";
import { SettingsTargetContext, type SettingsTarget } from "@/features/settings/settings-target";

export interface Setting<T> {
  /** null: not set here. */
  value: T | null;
  /** The value that applies while none is set here. */
  inherited: T | null;
  set: (value: T | null) => void;
}

export function useSettingsTarget(): SettingsTarget {
  const target = use(SettingsTargetContext);
  if (!target) throw new Error("Settings need a SettingsTargetContext around them.");
  return target;
}

/** One setting of the target. */
export function useSetting<K extends keyof Settings>(name: K): Setting<NonNullable<Settings[K]>> {
  const { own, inherited, change } = useSettingsTarget();
  return {
    value: own[name] ?? null,
    inherited: inherited[name] ?? null,
    set(value) {
      change({ [name]: value });
    },
  };
}
