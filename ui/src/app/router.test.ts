import { expect, it } from "vitest";

import { hrefOfSession, hrefOfView, parseRoute } from "@/app/router";
import { pageViews } from "@/app/views";

it("reads back the addresses that it writes", () => {
  expect(parseRoute(hrefOfSession("a b/c"))).toEqual({ view: "chat", sessionId: "a b/c", messageId: null });
  expect(parseRoute(hrefOfSession("s", "m/1"))).toEqual({ view: "chat", sessionId: "s", messageId: "m/1" });
  expect(parseRoute(hrefOfView("models")).view).toBe("models");
});

it.each(pageViews)("has an address for the view $name", ({ name }) => {
  expect(parseRoute(hrefOfView(name)).view).toBe(name);
});

it.each(["", "#", "#/", "#/nonsense", "#/s/", "#/s/%E0%A4", "#/s/a/b"])(
  "takes %j for a new chat",
  (hash) => {
    expect(parseRoute(hash)).toEqual({ view: "chat", sessionId: null, messageId: null });
  },
);
