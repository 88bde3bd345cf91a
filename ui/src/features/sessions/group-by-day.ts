import i18next, { type TFunction } from "i18next";

import type { Session } from "@/api/types";

export interface DayGroup {
  label: string;
  sessions: Session[];
}

/**
 * Sessions under "Pinned", or the day or month, in local time, of their last change; the order is
 * kept.
 */
export function groupByDay(sessions: readonly Session[], now: Date, t: TFunction): DayGroup[] {
  const groups: DayGroup[] = [];
  for (const session of sessions) {
    const label = session.pinned
      ? t("sessions.pinned")
      : labelFor(new Date(session.updated_at), now, t);
    const last = groups.at(-1);
    if (last?.label === label) last.sessions.push(session);
    else groups.push({ label, sessions: [session] });
  }
  return groups;
}

function labelFor(day: Date, now: Date, t: TFunction): string {
  const age = daysBetween(day, now);
  if (age <= 0) return t("sessions.today");
  if (age === 1) return t("sessions.yesterday");
  if (age <= 7) return t("sessions.week");
  if (age <= 30) return t("sessions.month");
  const sameYear = day.getFullYear() === now.getFullYear();
  const format: Intl.DateTimeFormatOptions = { month: "long", ...(sameYear ? {} : { year: "numeric" }) };
  return new Intl.DateTimeFormat(i18next.language, format).format(day);
}

/** Midnights between two moments; days of 23 or 25 hours count as one. */
function daysBetween(day: Date, now: Date): number {
  const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((midnight(now).getTime() - midnight(day).getTime()) / 86_400_000);
}
