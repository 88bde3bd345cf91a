import type { TFunction } from "i18next";

export function sessionTitle({ title }: { title: string }, t: TFunction): string {
  return title === "" ? t("sessions.untitled") : title;
}

/** The titles that several chats have. */
export function repeatedTitles(sessions: readonly { title: string }[], t: TFunction): Set<string> {
  const seen = new Set<string>();
  const repeated = new Set<string>();
  for (const session of sessions) {
    const title = sessionTitle(session, t);
    (seen.has(title) ? repeated : seen).add(title);
  }
  return repeated;
}
