import { createContext } from "react";

import type { Profile, Settings } from "@/api/types";

/** Settings that the fields show and change: of a chat, of everybody, or of anything else that has some. */
export interface SettingsTarget {
  own: Settings;
  /** The values that apply where `own` has none. */
  inherited: Settings;
  limits: Profile["limits"];
  change: (part: Partial<Settings>) => void;
}

export const SettingsTargetContext = createContext<SettingsTarget | null>(null);
