import { openLive, startReply, type ReplyStart } from "@/api/endpoints";
import { NoSocket, type ChatSocket } from "@/api/socket";
import { readEvents, StreamLost } from "@/api/stream";
import type { TurnEvent } from "@/api/types";

/** Several of the server's keep-alives. */
const silenceMs = 60_000;

export interface WayOptions {
  sessionId: string;
  /** Begins a reply; null: the one under way is followed. */
  start: ReplyStart | null;
  /** Code points of the reply that the caller has already. */
  from: number;
}

/** A reply's events over one connection, until that breaks. */
export type ReplyWay = (options: WayOptions, signal: AbortSignal) => AsyncIterable<TurnEvent>;

const names = new Set(["turn", "queued", "prefill", "delta", "done", "error"]);

/** Over a response that streams: what every proxy lets through. */
export const overHttp: ReplyWay = async function* ({ sessionId, start, from }, signal) {
  const response =
    start === null
      ? await openLive(sessionId, from, signal)
      : await startReply(sessionId, start, signal);
  if (!response.body) throw new StreamLost("The answer has no body.");
  for await (const { event, data } of readEvents(response.body, silenceMs)) {
    // A newer server may say more than this page knows.
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

/** Over the page's WebSocket; where none can be opened, over HTTP, whose answer says why. */
export function overSocket(socket: ChatSocket): ReplyWay {
  return async function* (options, signal) {
    const { sessionId, start, from } = options;
    try {
      for await (const event of socket.replies(sessionId, start, from, signal)) {
        if (names.has(event.type)) yield event;
      }
    } catch (error) {
      if (!(error instanceof NoSocket)) throw error;
      yield* overHttp(options, signal);
    }
  };
}
