import { expect, it } from "vitest";

import type { Message } from "@/api/types";
import { branchTo, leafBelow, messageTable, versionsOf } from "@/features/chat/state/branch";

function message(id: string, parent_id: string | null): Message {
  return {
    id,
    session_id: "s",
    parent_id,
    role: id.startsWith("u") ? "user" : "assistant",
    content: id,
    reasoning: "",
    status: "complete",
    finish_reason: null,
    model: null,
    created_at: 0,
    usage: null,
    error: null,
  };
}

// u1 ─ a1 ─ u2 ─ a2
//    └ a3 ─ u3
// u4
const table = messageTable([
  message("u1", null),
  message("a1", "u1"),
  message("u2", "a1"),
  message("a2", "u2"),
  message("a3", "u1"),
  message("u3", "a3"),
  message("u4", null),
]);

it("goes from the first message to the leaf", () => {
  expect(branchTo(table, "a2").map(({ id }) => id)).toEqual(["u1", "a1", "u2", "a2"]);
  expect(branchTo(table, null)).toEqual([]);
  expect(branchTo(table, "gone")).toEqual([]);
});

it("knows which messages have other versions", () => {
  expect(Object.fromEntries(versionsOf(table))).toEqual({
    a1: { number: 1, count: 2, earlierId: null, laterId: "a3" },
    a3: { number: 2, count: 2, earlierId: "a1", laterId: null },
    u1: { number: 1, count: 2, earlierId: null, laterId: "u4" },
    u4: { number: 2, count: 2, earlierId: "u1", laterId: null },
  });
});

it("leads from a version to the end of what follows it", () => {
  expect(leafBelow(table, "a1")).toBe("a2");
  expect(leafBelow(table, "u1")).toBe("u3");
  expect(leafBelow(table, "u4")).toBe("u4");
});
