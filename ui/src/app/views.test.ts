import { expect, it } from "vitest";

import { hrefOfSession, hrefOfView, viewOf } from "@/app/views";

it("reads back the addresses that it writes", () => {
  expect(viewOf(hrefOfSession("a b/c"))).toEqual({ name: "chat", sessionId: "a b/c", messageId: null });
  expect(viewOf(hrefOfSession("s", "m/1"))).toEqual({ name: "chat", sessionId: "s", messageId: "m/1" });
  expect(viewOf(hrefOfView("models")).name).toBe("models");
});

it.each(["", "#", "#/", "#/nonsense", "#/s/", "#/s/%E0%A4", "#/s/a/b"])(
  "takes %j for a new chat",
  (hash) => {
    expect(viewOf(hash)).toEqual({ name: "chat", sessionId: null, messageId: null });
  },
);
