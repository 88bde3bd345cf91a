/** What the views beside the chat ask for. */

import { send, sendForJson } from "@/api/client";
import type { ApiKey, Me, Scope } from "@/api/types";

export async function listKeys(signal?: AbortSignal): Promise<ApiKey[]> {
  const options = signal ? { signal } : {};
  return (await sendForJson<{ keys: ApiKey[] }>("/api/keys", options)).keys;
}

export interface NewKey {
  name: string;
  scope: Scope;
  rpm: number | null;
  expires_at: number | null;
}

/** The answer alone has the key itself. */
export function createKey(key: NewKey): Promise<ApiKey & { key: string }> {
  return sendForJson("/api/keys", { method: "POST", body: key });
}

export async function revokeKey(id: string): Promise<void> {
  await send(`/api/keys/${encodeURIComponent(id)}`, { method: "DELETE" });
}

export function getMe(signal?: AbortSignal): Promise<Me> {
  return sendForJson("/api/me", signal ? { signal } : {});
}

/** Turns a key into a cookie of this browser. */
export function signIn(key: string): Promise<Me> {
  return sendForJson("/api/login", { method: "POST", body: { key } });
}

export async function signOut(): Promise<void> {
  await send("/api/logout", { method: "POST" });
}
