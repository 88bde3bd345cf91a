import { afterEach, expect, it } from "vitest";

import {
  formatAgo,
  formatBytes,
  formatCount,
  formatRate,
  formatSeconds,
  formatTokens,
} from "@/lib/format";
import { showLanguage } from "@/lib/i18n";

afterEach(() => showLanguage("en"));

it("writes numbers as a person reads them", () => {
  expect(formatCount(12_345)).toBe("12,345");
  expect(formatRate(24.56)).toBe("24.6 tokens/s");
  expect(formatRate(1234.5)).toBe("1,235 tokens/s");
  expect(formatTokens(1)).toBe("1 token");
  expect(formatTokens(2000)).toBe("2,000 tokens");
});

it("writes times with the digits that matter", () => {
  expect([0.42, 9.94, 9.97, 12.3, 59.6, 75, 120, 3700, 100_000].map(formatSeconds)).toEqual([
    "0.4 s",
    "9.9 s",
    "10 s",
    "12 s",
    "1 min",
    "1 min 15 s",
    "2 min",
    "1 h 1 min",
    "1 d 3 h",
  ]);
});

it("writes sizes in steps of a thousand", () => {
  expect([0, 999, 1000, 999_600, 98_000_000, 1_536_000_000].map(formatBytes)).toEqual([
    "0 B",
    "999 B",
    "1.0 kB",
    "1.0 MB",
    "98 MB",
    "1.5 GB",
  ]);
});

it("says how long ago something was", () => {
  const now = 1_000_000_000;
  expect(formatAgo(now - 5000, now)).toBe("this minute");
  expect(formatAgo(now - 300_000, now)).toBe("5 minutes ago");
  expect(formatAgo(now - 90_000_000, now)).toBe("yesterday");
});

it("speaks the language of the page", async () => {
  await showLanguage("de");
  expect(formatCount(12_345)).toBe("12.345");
  expect(formatSeconds(0.42)).toBe("0,4 s");
  expect(formatTokens(2)).toBe("2 Token");
});
