import { vi } from "vitest";

export interface RecordedRequest {
  method: string;
  path: string;
  body: unknown;
}

/** Returns the body of a 200, or a response. */
type RouteHandler = (request: RecordedRequest) => unknown;

/**
 * A fake server with routes by "METHOD path", without the query. Anything else is answered with 404.
 * Returns the requests, as they are received.
 */
export function fakeRoutes(routes: Record<string, RouteHandler>): RecordedRequest[] {
  const calls: RecordedRequest[] = [];
  vi.stubGlobal("fetch", async (path: string, { method = "GET", body }: RequestInit = {}) => {
    await Promise.resolve();
    const request = {
      method,
      path,
      body: typeof body === "string" ? (JSON.parse(body) as unknown) : undefined,
    };
    calls.push(request);
    const handler = routes[`${method} ${path.split("?")[0] ?? ""}`];
    if (!handler) return refusal(404, "not_found", "There is nothing there.");
    const response = handler(request);
    return response instanceof Response ? response : Response.json(response);
  });
  return calls;
}

/** An error response. */
export function refusal(status: number, code: string, message: string): Response {
  const error = { message, type: "invalid_request_error", param: null, code };
  return Response.json({ error }, { status });
}
