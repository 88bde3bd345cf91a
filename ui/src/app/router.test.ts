import { expect, it } from "vitest";

import { hrefOfFolder, hrefOfSession, hrefOfTemporary, hrefOfView, parseRoute } from "@/app/router";
import { pageViews } from "@/app/views";

const newChat = {
  view: "chat",
  sessionId: null,
  messageId: null,
  folderId: null,
  temporary: false,
};

it("reads back the addresses that it writes", () => {
  expect(parseRoute(hrefOfSession("a b/c"))).toEqual({ ...newChat, sessionId: "a b/c" });
  expect(parseRoute(hrefOfSession("s", "m/1"))).toEqual({ ...newChat, sessionId: "s", messageId: "m/1" });
  expect(parseRoute(hrefOfFolder("a/b"))).toEqual({ ...newChat, folderId: "a/b" });
  expect(parseRoute(hrefOfTemporary)).toEqual({ ...newChat, temporary: true });
  expect(parseRoute(hrefOfView("models")).view).toBe("models");
});

it.each(pageViews)("has an address for the view $name", ({ name }) => {
  expect(parseRoute(hrefOfView(name)).view).toBe(name);
});

it.each(["", "#", "#/", "#/nonsense", "#/s/", "#/s/%E0%A4", "#/s/a/b"])(
  "takes %j for a new chat",
  (hash) => {
    expect(parseRoute(hash)).toEqual(newChat);
  },
);
