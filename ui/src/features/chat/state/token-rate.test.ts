import { expect, it } from "vitest";

import { TokenRate } from "@/features/chat/state/token-rate";

it("says nothing before it can tell, then the rate of the last seconds", () => {
  const rate = new TokenRate();
  expect(rate.add(1, 0)).toBeNull();
  expect(rate.add(4, 200)).toBeNull();
  expect(rate.add(15, 1000)).toBeCloseTo(19);
  for (let at = 1100; at <= 10_000; at += 100) rate.add(1, at);
  expect(rate.add(1, 10_100)).toBeCloseTo(10, 0);
});
