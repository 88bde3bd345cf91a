/** How the page looks. The server stores it, because the desktop window's browser does not. */

import { send, sendForJson } from "@/api/client";
import type { Preferences } from "@/api/types";

export function getPreferences(): Promise<Preferences> {
  return sendForJson("/api/preferences");
}

/** Changes some of them. */
export async function changePreferences(part: Partial<Preferences>): Promise<void> {
  await send("/api/preferences", { method: "PATCH", body: part });
}
