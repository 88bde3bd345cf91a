import type { Settings } from "@/api/types";
import { useSettings } from "@/features/settings/settings-context";
import type { SettingsScope } from "@/features/settings/settings-store";

export interface Setting<T> {
  /** null: not set here. */
  value: T | null;
  /** The value that applies while none is set here. */
  inherited: T | null;
  set: (value: T | null) => void;
}

/** One setting of a chat, or of every chat. */
export function useSetting<K extends keyof Settings>(
  scope: SettingsScope,
  name: K,
): Setting<NonNullable<Settings[K]>> {
  const own = useSettings(({ session, profile }) => (scope === "chat" ? session : profile)?.[name]);
  const profile = useSettings((state) => state.profile?.[name]);
  const builtIn = useSettings((state) => state.profile?.defaults[name]);
  const change = useSettings((state) => state.change);
  const inherited = scope === "chat" ? (profile ?? builtIn) : builtIn;
  return {
    value: own ?? null,
    inherited: inherited ?? null,
    set(value) {
      change(scope, { [name]: value });
    },
  };
}
