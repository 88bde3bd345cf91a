import i18next from "i18next";
import { expect, it } from "vitest";

import type { Session } from "@/api/types";
import { groupByDay } from "@/features/sessions/group-by-day";

import "@/lib/i18n";

function changedAt(year: number, month: number, day: number, hour = 12): Session {
  const updated_at = new Date(year, month - 1, day, hour).getTime();
  const id = `${month}-${day}-${hour}`;
  return {
    id,
    title: id,
    pinned: false,
    created_at: 0,
    updated_at,
    leaf_id: null,
    live_message_id: null,
    settings: null,
  };
}

it("groups by local days, then by months, newest first as it came", () => {
  const now = new Date(2026, 2, 31, 0, 30);
  const sessions = [
    changedAt(2026, 3, 31, 0),
    changedAt(2026, 3, 30, 23),
    changedAt(2026, 3, 30, 1),
    changedAt(2026, 3, 29),
    changedAt(2026, 3, 24),
    changedAt(2026, 3, 23),
    changedAt(2026, 3, 1),
    changedAt(2026, 2, 27),
    changedAt(2026, 2, 1),
    changedAt(2025, 12, 24),
  ];
  const groups = groupByDay(sessions, now, i18next.t);
  expect(groups.map(({ label, sessions: { length } }) => [label, length])).toEqual([
    ["Today", 1],
    ["Yesterday", 2],
    ["Previous 7 days", 2],
    ["Previous 30 days", 2],
    ["February", 2],
    ["December 2025", 1],
  ]);
  expect(groups.flatMap((group) => group.sessions)).toEqual(sessions);
});

it("takes a clock that is ahead for today", () => {
  expect(groupByDay([changedAt(2026, 4, 2)], new Date(2026, 2, 31), i18next.t)[0]?.label).toBe("Today");
});

it("keeps pinned chats apart, whatever their day", () => {
  const pinned = { ...changedAt(2025, 1, 1), pinned: true };
  const groups = groupByDay([pinned, changedAt(2026, 3, 31)], new Date(2026, 2, 31), i18next.t);
  expect(groups.map(({ label }) => label)).toEqual(["Pinned", "Today"]);
});
