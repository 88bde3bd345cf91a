import { expect, it } from "vitest";

import { Pace } from "@/features/chat/pace";

it("says nothing before it can tell, then the pace of the last seconds", () => {
  const pace = new Pace();
  expect(pace.after(1, 0)).toBeNull();
  expect(pace.after(4, 200)).toBeNull();
  expect(pace.after(15, 1000)).toBeCloseTo(19);
  for (let at = 1100; at <= 10_000; at += 100) pace.after(1, at);
  expect(pace.after(1, 10_100)).toBeCloseTo(10, 0);
});
