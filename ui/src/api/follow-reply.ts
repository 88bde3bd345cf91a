import { ApiError, Unreachable } from "@/api/client";
import { openLive, startTurn, type TurnRequest } from "@/api/endpoints";
import { readEvents, StreamLost } from "@/api/stream";
import type { TurnEvent } from "@/api/types";
import { backOff, sleep } from "@/lib/back-off";
import { codePointLength, dropCodePoints } from "@/lib/code-points";

/** Several of the server's keep-alives. */
const silenceMs = 60_000;

export type ReplyEvent =
  | TurnEvent
  /** The socket is lost and sought again, or found again. */
  | { type: "link"; up: boolean }
  /** The reply ended out of sight: what became of it is in the session's messages. */
  | { type: "gone" };

export interface ReplySource {
  sessionId: string;
  /** Starts a turn; without it, the reply under way is followed. */
  turn?: TurnRequest;
  /** Code points of the reply that the caller has already. */
  from?: number;
}

/**
 * The events of one reply, over as many sockets as it takes. Each code point comes exactly once.
 * The last event is done, error or gone; throws when a turn is refused or the server can't be
 * reached to start it, and the signal's reason when aborted.
 */
export async function* followReply(
  { sessionId, turn, from = 0 }: ReplySource,
  signal: AbortSignal,
): AsyncGenerator<ReplyEvent, void, undefined> {
  let seen = from;
  let attempt = 0;
  let up = true;
  let started = turn === undefined;
  for (;;) {
    try {
      const response =
        turn && !started
          ? await startTurn(sessionId, turn, signal)
          : await openLive(sessionId, seen, signal);
      started = true;
      for await (const event of readTurnEvents(response)) {
        attempt = 0;
        if (!up) {
          up = true;
          yield { type: "link", up };
        }
        if (event.type === "delta") {
          const text = unseenText(event, seen);
          if (text === "") continue;
          seen = event.offset;
          yield { ...event, text };
        } else {
          yield event;
          if (event.type === "done" || event.type === "error") return;
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!started) throw error;
      if (error instanceof ApiError) {
        if (error.status < 500 && error.status !== 429) {
          yield { type: "gone" };
          return;
        }
      } else if (!(error instanceof StreamLost) && !(error instanceof Unreachable)) {
        throw error;
      }
    }
    if (up) {
      up = false;
      yield { type: "link", up };
    }
    await sleep(backOff(attempt), signal);
    attempt += 1;
  }
}

/** What `delta` adds to the `seen` code points; throws StreamLost where some are missing. */
function unseenText(delta: { offset: number; text: string }, seen: number): string {
  const start = delta.offset - codePointLength(delta.text);
  if (start > seen) throw new StreamLost("Text is missing from the stream.");
  return dropCodePoints(delta.text, seen - start);
}

const names = new Set(["turn", "prefill", "delta", "done", "error"]);

async function* readTurnEvents(response: Response): AsyncGenerator<TurnEvent, void, undefined> {
  if (!response.body) throw new StreamLost("The answer has no body.");
  for await (const { event, data } of readEvents(response.body, silenceMs)) {
    // A newer server may say more than this page knows.
    if (!names.has(event)) continue;
    yield { type: event, ...parseObject(data) } as TurnEvent;
  }
}

function parseObject(data: string): object {
  try {
    return JSON.parse(data) as object;
  } catch (error) {
    throw new StreamLost("The stream is garbled.", error);
  }
}
