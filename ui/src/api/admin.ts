/** Requests of the views beside the chat. */

import { send, sendForJson } from "@/api/client";
import type { ApiKey, Me, RecentRequest, Scope } from "@/api/types";

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

/** Only this response contains the key itself. */
export function createKey(key: NewKey): Promise<ApiKey & { key: string }> {
  return sendForJson("/api/keys", { method: "POST", body: key });
}

export async function revokeKey(id: string): Promise<void> {
  await send(`/api/keys/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/** The last requests of this caller to models, the newest first. */
export async function listRequests(signal?: AbortSignal): Promise<RecentRequest[]> {
  const options = signal ? { signal } : {};
  return (await sendForJson<{ requests: RecentRequest[] }>("/api/requests", options)).requests;
}

export function getMe(signal?: AbortSignal): Promise<Me> {
  return sendForJson("/api/me", signal ? { signal } : {});
}

/** Exchanges a key for a cookie. */
export function signIn(key: string): Promise<Me> {
  return sendForJson("/api/login", { method: "POST", body: { key } });
}

export async function signOut(): Promise<void> {
  await send("/api/logout", { method: "POST" });
}
