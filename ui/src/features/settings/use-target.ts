import { useMemo } from "react";

import { settingsOf } from "@/api/settings";
import type { Settings } from "@/api/types";
import { useSettings } from "@/features/settings/settings-context";
import type { SettingsScope } from "@/features/settings/settings-store";
import type { SettingsTarget } from "@/features/settings/settings-target";

/** The settings of the open chat, or of everybody; null while they are not known. */
export function useTarget(scope: SettingsScope): SettingsTarget | null {
  const profile = useSettings((state) => state.profile);
  const session = useSettings((state) => state.session);
  const change = useSettings((state) => state.change);
  return useMemo(() => {
    if (profile === null) return null;
    const ofAll = settingsOf(profile);
    return {
      own: scope === "chat" ? session : ofAll,
      inherited: scope === "chat" ? over(ofAll, profile.defaults) : profile.defaults,
      limits: profile.limits,
      change(part: Partial<Settings>) {
        change(scope, part);
      },
    };
  }, [scope, profile, session, change]);
}

/** Settings, and where they have none, others. */
function over(settings: Settings, others: Settings): Settings {
  const given = Object.entries(settings).filter(([, value]) => value !== null);
  return { ...others, ...Object.fromEntries(given) };
}
