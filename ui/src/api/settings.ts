import { send, sendForJson } from "@/api/client";
import type { Preset, Profile, Settings } from "@/api/types";

/** No setting at all. */
export const unsetSettings: Settings = {
  model: null,
  device: null,
  temperature: null,
  top_p: null,
  top_k: null,
  max_tokens: null,
  repeat_penalty: null,
  system_prompt: null,
  stop: null,
  reasoning_effort: null,
  min_p: null,
  seed: null,
  frequency_penalty: null,
  presence_penalty: null,
  repeat_last_n: null,
  dry_multiplier: null,
  dry_base: null,
  dry_allowed_length: null,
  dry_penalty_last_n: null,
  dry_sequence_breakers: null,
  top_n_sigma: null,
  typical_p: null,
  xtc_probability: null,
  xtc_threshold: null,
  dynatemp_range: null,
  dynatemp_exponent: null,
  mirostat: null,
  mirostat_tau: null,
  mirostat_eta: null,
  samplers: null,
};

/** Only the settings of an object that may have more fields, or fewer. */
export function settingsOf(source: Partial<Settings>): Settings {
  const names = Object.keys(unsetSettings) as (keyof Settings)[];
  return Object.fromEntries(names.map((name) => [name, source[name] ?? null])) as unknown as Settings;
}

export function isUnset(settings: Settings): boolean {
  return Object.values(settings).every((value) => value === null);
}

export function getProfile(signal?: AbortSignal): Promise<Profile> {
  return sendForJson("/api/settings", signal ? { signal } : {});
}

/** Changes some settings of the profile. */
export function changeProfile(part: Partial<Settings>): Promise<Profile> {
  return sendForJson("/api/settings", { method: "PATCH", body: part });
}

export async function listPresets(): Promise<Preset[]> {
  return (await sendForJson<{ presets: Preset[] }>("/api/presets")).presets;
}

export function createPreset(name: string, settings: Settings): Promise<Preset> {
  return sendForJson("/api/presets", { method: "POST", body: { name, settings } });
}

export interface PresetChange {
  name?: string;
  settings?: Settings;
}

export function changePreset(id: string, change: PresetChange): Promise<Preset> {
  const path = `/api/presets/${encodeURIComponent(id)}`;
  return sendForJson(path, { method: "PATCH", body: change });
}

export async function deletePreset(id: string): Promise<void> {
  await send(`/api/presets/${encodeURIComponent(id)}`, { method: "DELETE" });
}
