import type { ErrorBody } from "@/api/types";

/** The server responded with an error. `message` is meant for people. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly param: string | null;

  constructor(status: number, body: Partial<ErrorBody>) {
    super(body.message ?? `The server answered with status ${status}.`);
    this.name = "ApiError";
    this.status = status;
    this.code = body.code ?? "unknown";
    this.param = body.param ?? null;
  }
}

/** No response: the server or the network is down. */
export class Unreachable extends Error {
  constructor(cause: unknown) {
    super("The server cannot be reached.", { cause });
    this.name = "Unreachable";
  }
}

export interface RequestOptions {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  body?: unknown;
  /** The body instead, as it is. */
  file?: Blob;
  signal?: AbortSignal;
}

type Notify = (message: string) => void;

const lockedOut = new Set<Notify>();

/** `notify` is called with the reason whenever a request is refused for want of a valid key; what this
 * gives back stops that. */
export function onLockedOut(notify: Notify): () => void {
  lockedOut.add(notify);
  return () => {
    lockedOut.delete(notify);
  };
}

function errorBody(text: string): Partial<ErrorBody> {
  try {
    const parsed = JSON.parse(text) as { error?: Partial<ErrorBody> } | null;
    return parsed?.error ?? {};
  } catch {
    return {};
  }
}

/** Methods whose requests arrive even if the page is reloaded or closed right after them. */
const CHANGES = new Set(["PATCH", "PUT", "DELETE"]);
/** Characters of a body; browsers refuse keepalive requests above 64 KiB in all. */
const KEEPALIVE_LENGTH = 8_000;

/**
 * The response, if its status is 2xx.
 * Throws ApiError, Unreachable, or the signal's own AbortError.
 */
export async function send(path: string, options: RequestOptions = {}): Promise<Response> {
  const { method = "GET", body, file, signal } = options;
  const content = body === undefined ? "" : JSON.stringify(body);
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      ...(content && { body: content, headers: { "Content-Type": "application/json" } }),
      ...(file && { body: file, headers: { "Content-Type": "application/octet-stream" } }),
      ...(signal ? { signal } : {}),
      keepalive: !file && CHANGES.has(method) && content.length <= KEEPALIVE_LENGTH,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Unreachable(error);
  }
  if (response.ok) return response;
  const text = await response.text().catch(() => "");
  // A proxy in front of a server that is down responds with an error page of its own.
  const ours = text.startsWith("{");
  if (!ours && [502, 503, 504].includes(response.status)) throw new Unreachable(text);
  const error = new ApiError(response.status, errorBody(text));
  if (error.status === 401) {
    for (const notify of lockedOut) notify(error.message);
  }
  throw error;
}

/** The JSON body of a response. The type is taken from the API's contract and not checked here. */
export async function sendForJson<T>(path: string, options: RequestOptions = {}): Promise<T> {
  const response = await send(path, options);
  try {
    return (await response.json()) as T;
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Unreachable(error);
  }
}
