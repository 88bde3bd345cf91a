import { expect, it } from "vitest";

import { fileName } from "@/lib/save-file";

it("makes a file's name of any title", () => {
  expect(fileName("Why is the sky blue?", "json")).toBe("Why is the sky blue.json");
  expect(fileName("../../etc/passwd\n", "json")).toBe("etc passwd.json");
  expect(fileName("  ", "json")).toBe("chat.json");
  expect(fileName("天气".repeat(100), "json")).toHaveLength(85);
});
