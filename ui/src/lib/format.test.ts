import { expect, it } from "vitest";

import { formatCount, formatRate, formatSeconds, plural } from "@/lib/format";

it("writes numbers as a person reads them", () => {
  expect(formatCount(12_345)).toBe("12,345");
  expect(formatRate(24.56)).toBe("24.6");
  expect(formatRate(1234.5)).toBe("1,235");
  expect(plural(1, "token")).toBe("1 token");
  expect(plural(2000, "token")).toBe("2,000 tokens");
});

it("writes times with the digits that matter", () => {
  expect([0.42, 9.94, 12.3, 59.6, 75, 120].map(formatSeconds)).toEqual([
    "0.4 s",
    "9.9 s",
    "12 s",
    "1 min",
    "1 min 15 s",
    "2 min",
  ]);
});
