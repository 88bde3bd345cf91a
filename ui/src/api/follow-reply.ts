import { ApiError, Unreachable } from "@/api/client";
import type { ReplyStart } from "@/api/endpoints";
import type { ReplyWay } from "@/api/reply-way";
import { StreamLost } from "@/api/stream";
import type { TurnEvent } from "@/api/types";
import { backOff, sleep } from "@/lib/back-off";
import { codePointLength, dropCodePoints } from "@/lib/code-points";

export type ReplyEvent =
  | Exclude<TurnEvent, { type: "delta" }>
  | ({ type: "delta" } & Piece)
  /** The connection is lost and sought again, or found again. */
  | { type: "link"; up: boolean }
  /** The reply ended out of sight: what became of it is in the session's messages. */
  | { type: "gone" };

/** More of the reply: of its text, or of what the model thinks before it. */
export interface Piece {
  text: string;
  reasoning: string;
}

export interface ReplySource {
  sessionId: string;
  /** Begins a reply; without it, the one under way is followed. */
  start?: ReplyStart;
  /** Code points of the reply, reasoning and text, that the caller has already. */
  from?: number;
}

/**
 * The events of one reply, over as many connections as it takes. Each code point comes exactly once.
 * The last event is done, error or gone; throws when the start is refused or the server can't be
 * reached to start it, and the signal's reason when aborted.
 */
export async function* followReply(
  way: ReplyWay,
  { sessionId, start, from = 0 }: ReplySource,
  signal: AbortSignal,
): AsyncGenerator<ReplyEvent, void, undefined> {
  let seen = from;
  let attempt = 0;
  let up = true;
  let started = start === undefined;
  for (;;) {
    try {
      const options = { sessionId, start: started ? null : (start ?? null), from: seen };
      for await (const event of way(options, signal)) {
        started = true;
        attempt = 0;
        if (!up) {
          up = true;
          yield { type: "link", up };
        }
        if (event.type === "delta") {
          const piece = unseenPart(event, seen);
          if (!piece) continue;
          seen = event.offset;
          yield { type: "delta", ...piece };
        } else {
          // A reply that goes on has text already.
          if (event.type === "turn") seen = placeAfter(event.reply);
          yield event;
          if (event.type === "done" || event.type === "error") return;
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      if (!started) throw error instanceof StreamLost ? new Unreachable(error) : error;
      if (error instanceof ApiError) {
        if (error.status < 500 && error.status !== 429) {
          yield { type: "gone" };
          return;
        }
      } else if (!(error instanceof StreamLost) && !(error instanceof Unreachable)) {
        throw error;
      }
    }
    if (!started) throw new Unreachable(null);
    if (up) {
      up = false;
      yield { type: "link", up };
    }
    await sleep(backOff(attempt), signal);
    attempt += 1;
  }
}

/** Where a reply goes on: code points of what it thought and said so far. */
export function placeAfter({ reasoning, content }: { reasoning: string; content: string }): number {
  return codePointLength(reasoning) + codePointLength(content);
}

/** What `delta` adds to the `seen` code points, if anything; throws where some are missing. */
function unseenPart(delta: Extract<TurnEvent, { type: "delta" }>, seen: number): Piece | null {
  const { offset, text = "", reasoning = "" } = delta;
  const known = seen - (offset - codePointLength(text) - codePointLength(reasoning));
  if (known < 0) throw new StreamLost("Text is missing from the stream.");
  if (offset <= seen) return null;
  // One piece is of one kind.
  return { text: dropCodePoints(text, known), reasoning: dropCodePoints(reasoning, known) };
}
