import type { Session } from "@/api/types";

export interface DayGroup {
  label: string;
  sessions: Session[];
}

const sameYear = new Intl.DateTimeFormat("en", { month: "long" });
const otherYear = new Intl.DateTimeFormat("en", { month: "long", year: "numeric" });

/** Sessions under the day or month, in local time, of their last change; the order is kept. */
export function groupByDay(sessions: readonly Session[], now: Date): DayGroup[] {
  const groups: DayGroup[] = [];
  for (const session of sessions) {
    const label = labelFor(new Date(session.updated_at), now);
    const last = groups.at(-1);
    if (last?.label === label) last.sessions.push(session);
    else groups.push({ label, sessions: [session] });
  }
  return groups;
}

function labelFor(day: Date, now: Date): string {
  const age = daysBetween(day, now);
  if (age <= 0) return "Today";
  if (age === 1) return "Yesterday";
  if (age <= 7) return "Previous 7 days";
  if (age <= 30) return "Previous 30 days";
  return (day.getFullYear() === now.getFullYear() ? sameYear : otherYear).format(day);
}

/** Midnights between two moments; days of 23 or 25 hours count as one. */
function daysBetween(day: Date, now: Date): number {
  const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((midnight(now).getTime() - midnight(day).getTime()) / 86_400_000);
}
