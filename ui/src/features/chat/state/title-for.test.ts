import { expect, it } from "vitest";

import { titleFor } from "@/features/chat/state/title-for";

it("takes the first line that has words", () => {
  expect(titleFor("\n\n## Why is the sky blue?\nI wonder.")).toBe("Why is the sky blue?");
});

it("cuts a long line between words", () => {
  const title = titleFor("word ".repeat(40));
  expect(title).toMatch(/^(word )+word…$/);
  expect(title.length).toBeLessThanOrEqual(61);
});

it("cuts a line without spaces, and no character in two", () => {
  expect(titleFor("🦙".repeat(80)).isWellFormed()).toBe(true);
});

it("is empty for a text without words", () => {
  expect(titleFor(" \n- \n")).toBe("");
});
