import { expect, it } from "vitest";

import { codePointLength, dropCodePoints } from "@/lib/code-points";

it("counts code points as the server does", () => {
  expect(codePointLength("")).toBe(0);
  expect(codePointLength("aé🦙漢")).toBe(4);
  // One family seen, five code points stored; and half a pair is still one.
  expect(codePointLength("👨‍👩‍👧")).toBe(5);
  expect(codePointLength("a\uD83E")).toBe(2);
});

it("drops code points and never half of one", () => {
  expect(dropCodePoints("a🦙b", 0)).toBe("a🦙b");
  expect(dropCodePoints("a🦙b", 2)).toBe("b");
  expect(dropCodePoints("a🦙b", 9)).toBe("");
});
