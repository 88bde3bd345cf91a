/** How the page looks: the server remembers it, for a window's browser forgets. */

import { send, sendForJson } from "@/api/client";
import type { Preferences } from "@/api/types";

export function getPreferences(): Promise<Preferences> {
  return sendForJson("/api/preferences");
}

/** Other values for some of them. */
export async function changePreferences(part: Partial<Preferences>): Promise<void> {
  await send("/api/preferences", { method: "PATCH", body: part });
}
