import { settingsOf } from "@/api/settings";
import type { Preset, Settings } from "@/api/types";

/** What a chat's settings become with a preset, which may leave the model as it is. */
export function withPreset(settings: Settings, preset: Preset): Settings {
  const given = settingsOf(preset.settings);
  return { ...given, model: given.model ?? settings.model };
}

/** The preset that a chat's settings are those of; null: none. */
export function presetOf(settings: Settings, presets: readonly Preset[]): Preset | null {
  const own = settingsOf(settings);
  return (
    presets.find(
      (preset) => JSON.stringify(withPreset(own, preset)) === JSON.stringify(own),
    ) ?? null
  );
}
