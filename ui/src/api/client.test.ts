import { describe, expect, it, vi } from "vitest";

import { ApiError, send, sendForJson, Unreachable } from "@/api/client";

function answer(response: Response) {
  vi.stubGlobal("fetch", () => Promise.resolve(response));
}

function fail(error: Error) {
  vi.stubGlobal("fetch", () => Promise.reject(error));
}

describe("send", () => {
  it("turns the server's error into an ApiError with its code, words and field", async () => {
    const error = { message: "Too long.", type: "t", param: "content", code: "too_long" };
    answer(new Response(JSON.stringify({ error }), { status: 400 }));
    await expect(send("/x")).rejects.toMatchObject({
      name: "ApiError",
      status: 400,
      code: "too_long",
      message: "Too long.",
      param: "content",
    });
  });

  it("has words of its own for an error without any", async () => {
    answer(new Response("oops", { status: 500 }));
    await expect(send("/x")).rejects.toEqual(new ApiError(500, {}));
  });

  it("knows no answer, and a proxy's answer for it, as Unreachable", async () => {
    fail(new TypeError("Failed to fetch"));
    await expect(send("/x")).rejects.toBeInstanceOf(Unreachable);
    answer(new Response("Bad gateway", { status: 502 }));
    await expect(send("/x")).rejects.toBeInstanceOf(Unreachable);
  });

  it("lets an abort through as it is", async () => {
    const abort = new AbortController();
    abort.abort();
    fail(new DOMException("aborted", "AbortError"));
    await expect(send("/x", { signal: abort.signal })).rejects.toHaveProperty("name", "AbortError");
  });

  it("takes an answer that breaks off for none", async () => {
    answer(new Response('{"a":'));
    await expect(sendForJson("/x")).rejects.toBeInstanceOf(Unreachable);
  });

  it("has a small change arrive even if the page is closed", async () => {
    const sent: RequestInit[] = [];
    vi.stubGlobal("fetch", (_: string, init: RequestInit) => {
      sent.push(init);
      return Promise.resolve(new Response("{}"));
    });
    await send("/x", { method: "PATCH", body: { title: "Trees" } });
    await send("/x", { method: "PATCH", body: { title: "Trees".repeat(20_000) } });
    await send("/x");
    expect(sent.map(({ keepalive }) => keepalive)).toEqual([true, false, false]);
  });
});
