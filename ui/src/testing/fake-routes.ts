import { vi } from "vitest";

export interface Asked {
  method: string;
  path: string;
  body: unknown;
}

/** What a route says: the body of a 200, or an answer of its own. */
type Say = (asked: Asked) => unknown;

/**
 * A server of a few routes, by "METHOD path"; a query is cut off to find one. What has no route is
 * answered with 404. Gives the list of what was asked.
 */
export function fakeRoutes(routes: Record<string, Say>): Asked[] {
  const calls: Asked[] = [];
  vi.stubGlobal("fetch", async (path: string, { method = "GET", body }: RequestInit = {}) => {
    await Promise.resolve();
    const asked = {
      method,
      path,
      body: typeof body === "string" ? (JSON.parse(body) as unknown) : undefined,
    };
    calls.push(asked);
    const say = routes[`${method} ${path.split("?")[0] ?? ""}`];
    if (!say) return refusal(404, "not_found", "There is nothing there.");
    const said = say(asked);
    return said instanceof Response ? said : Response.json(said);
  });
  return calls;
}

/** The server's no. */
export function refusal(status: number, code: string, message: string): Response {
  const error = { message, type: "invalid_request_error", param: null, code };
  return Response.json({ error }, { status });
}
