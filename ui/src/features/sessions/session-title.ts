import type { Session } from "@/api/types";

export function sessionTitle(session: Session): string {
  return session.title === "" ? "Untitled chat" : session.title;
}
