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
  const labelOf = labeller(now, t);
  for (const session of sessions) {
    const label = session.pinned ? t("sessions.pinned") : labelOf(session.updated_at);
    const last = groups.at(-1);
    if (last?.label === label) last.sessions.push(session);
    else groups.push({ label, sessions: [session] });
  }
  return groups;
}

/** Labels of times; thousands of them take no longer than a few days and months. */
function labeller(now: Date, t: TFunction): (time: number) => string {
  const format = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(i18next.language, { month: "long", ...options });
  const thisYear = format({});
  const otherYears = format({ year: "numeric" });
  const months = new Map<number, string>();
  return (time) => {
    const day = new Date(time);
    const age = daysBetween(day, now);
    if (age <= 0) return t("sessions.today");
    if (age === 1) return t("sessions.yesterday");
    if (age <= 7) return t("sessions.week");
    if (age <= 30) return t("sessions.month");
    const key = day.getFullYear() * 12 + day.getMonth();
    const sameYear = day.getFullYear() === now.getFullYear();
    const label = months.get(key) ?? (sameYear ? thisYear : otherYears).format(day);
    months.set(key, label);
    return label;
  };
}

/** Midnights between two moments; days of 23 or 25 hours count as one. */
function daysBetween(day: Date, now: Date): number {
  const midnight = (date: Date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((midnight(now).getTime() - midnight(day).getTime()) / 86_400_000);
}
