import { ApiError, Unreachable } from "@/api/client";
import type { ReplyStart } from "@/api/endpoints";
import type { ReplyTransport } from "@/api/reply-transport";
import { StreamLost } from "@/api/stream";
import type { TurnEvent } from "@/api/types";
import { backOff, sleep } from "@/lib/back-off";
import { codePointLength, dropCodePoints } from "@/lib/code-points";

export type ReplyEvent =
  | Exclude<TurnEvent, { type: "delta" }>
  | ({ type: "delta" } & ReplyDelta)
  /** The connection was lost and is being restored, or was restored. */
  | { type: "connection"; up: boolean }
  /** The reply ended while disconnected: its outcome is in the session's messages. */
  | { type: "gone" };

/** A piece of the reply: of its text, or of the reasoning before it. */
export interface ReplyDelta {
  text: string;
  reasoning: string;
}

export interface ReplySource {
  sessionId: string;
  /** Starts a reply; without it, the one in progress is followed. */
  start?: ReplyStart;
  /** Code points of the reply, reasoning and text, that the caller already has. */
  from?: number;
}

/**
 * The events of one reply, over as many connections as it takes. Each code point arrives exactly once.
 * The last event is done, error or gone. Throws if the start is refused or the server can't be
 * reached to start it, and the signal's reason if aborted.
 */
export async function* followReply(
  transport: ReplyTransport,
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
      for await (const event of transport(options, signal)) {
        started = true;
        attempt = 0;
        if (!up) {
          up = true;
          yield { type: "connection", up };
        }
        if (event.type === "delta") {
          const piece = unseenPart(event, seen);
          if (!piece) continue;
          seen = event.offset;
          yield { type: "delta", ...piece };
        } else {
          // A continued reply already has text.
          if (event.type === "turn") seen = offsetAfter(event.reply);
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
      yield { type: "connection", up };
    }
    await sleep(backOff(attempt), signal);
    attempt += 1;
  }
}

/** Where a reply resumes: code points of its reasoning and text so far. */
export function offsetAfter({ reasoning, content }: { reasoning: string; content: string }): number {
  return codePointLength(reasoning) + codePointLength(content);
}

/** What `delta` adds to the `seen` code points, if anything. Throws StreamLost if some are missing. */
function unseenPart(delta: Extract<TurnEvent, { type: "delta" }>, seen: number): ReplyDelta | null {
  const { offset, text = "", reasoning = "" } = delta;
  const known = seen - (offset - codePointLength(text) - codePointLength(reasoning));
  if (known < 0) throw new StreamLost("Text is missing from the stream.");
  if (offset <= seen) return null;
  // A delta is either text or reasoning.
  return { text: dropCodePoints(text, known), reasoning: dropCodePoints(reasoning, known) };
}
