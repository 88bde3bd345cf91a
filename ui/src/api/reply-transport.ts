import { openLive, startReply, type ReplyStart } from "@/api/endpoints";
import { SocketUnavailable, type ChatSocket } from "@/api/socket";
import { readEvents, StreamLost } from "@/api/stream";
import type { TurnEvent } from "@/api/types";

/** Several keep-alive intervals of the server. */
const silenceMs = 60_000;

export interface TransportOptions {
  sessionId: string;
  /** Starts a reply; null: the one in progress is followed. */
  start: ReplyStart | null;
  /** Code points of the reply that the caller already has. */
  from: number;
}

/** A reply's events over one connection, until it ends or breaks. */
export type ReplyTransport = (options: TransportOptions, signal: AbortSignal) => AsyncIterable<TurnEvent>;

const names = new Set(["turn", "queued", "prefill", "delta", "done", "error"]);

/** Over a streamed HTTP response, which every proxy lets through. */
export const overHttp: ReplyTransport = async function* ({ sessionId, start, from }, signal) {
  const response =
    start === null
      ? await openLive(sessionId, from, signal)
      : await startReply(sessionId, start, signal);
  if (!response.body) throw new StreamLost("The answer has no body.");
  for await (const { event, data } of readEvents(response.body, silenceMs)) {
    // A newer server may send events that this page does not know.
    if (!names.has(event)) continue;
    yield { type: event, ...parseObject(data) } as TurnEvent;
  }
};

function parseObject(data: string): object {
  try {
    return JSON.parse(data) as object;
  } catch (error) {
    throw new StreamLost("The stream is garbled.", error);
  }
}

/** Over the page's WebSocket; if it can't be opened, over HTTP, whose response says why. */
export function overSocket(socket: ChatSocket): ReplyTransport {
  return async function* (options, signal) {
    const { sessionId, start, from } = options;
    try {
      for await (const event of socket.replies(sessionId, start, from, signal)) {
        if (names.has(event.type)) yield event;
      }
    } catch (error) {
      if (!(error instanceof SocketUnavailable)) throw error;
      yield* overHttp(options, signal);
    }
  };
}
