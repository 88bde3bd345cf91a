/** Server-sent events from a fetch body: EventSource can't POST. */

export interface SseEvent {
  event: string;
  data: string;
  id: string | null;
}

/** Takes text in chunks of any size; returns the events completed by each. */
export class SseParser {
  private buffer = "";
  private event = "";
  private data: string[] = [];
  private id: string | null = null;

  push(text: string): SseEvent[] {
    this.buffer += text;
    const events: SseEvent[] = [];
    let start = 0;
    for (;;) {
      const end = this.lineEnd(start);
      if (!end) break;
      const finished = this.line(this.buffer.slice(start, end.at));
      if (finished) events.push(finished);
      start = end.next;
    }
    this.buffer = this.buffer.slice(start);
    return events;
  }

  private lineEnd(start: number): { at: number; next: number } | null {
    for (let at = start; at < this.buffer.length; at += 1) {
      const char = this.buffer[at];
      if (char === "\n") return { at, next: at + 1 };
      if (char === "\r") {
        // The \n of a \r\n may be in the next chunk.
        if (at + 1 === this.buffer.length) return null;
        return { at, next: this.buffer[at + 1] === "\n" ? at + 2 : at + 1 };
      }
    }
    return null;
  }

  private line(line: string): SseEvent | null {
    if (line === "") return this.dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return null;
    const field = colon < 0 ? line : line.slice(0, colon);
    const rest = colon < 0 ? "" : line.slice(colon + 1);
    const value = rest.startsWith(" ") ? rest.slice(1) : rest;
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id") this.id = value;
    return null;
  }

  private dispatch(): SseEvent | null {
    const { event, data, id } = this;
    this.event = "";
    this.data = [];
    return data.length === 0 ? null : { event: event || "message", data: data.join("\n"), id };
  }
}

/** The connection ended, broke or timed out before the stream's last event. */
export class StreamLost extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = "StreamLost";
  }
}

/**
 * Events of a response body, until the body ends.
 * Throws StreamLost if the connection breaks, or carries nothing (not even a keep-alive) for
 * `silenceMs`: after a machine has slept, it may be dead without being closed.
 */
export async function* readEvents(
  body: ReadableStream<Uint8Array>,
  silenceMs: number,
): AsyncGenerator<SseEvent, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = new SseParser();
  try {
    for (;;) {
      const chunk = await readOrSilence(reader, silenceMs);
      if (chunk.done) return;
      yield* parser.push(decoder.decode(chunk.value, { stream: true }));
    }
  } finally {
    // Also if the consumer stops early, so that the connection is released.
    reader.cancel().catch(() => undefined);
  }
}

async function readOrSilence(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  silenceMs: number,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new StreamLost("The stream fell silent."));
    }, silenceMs);
  });
  try {
    return await Promise.race([reader.read(), silence]);
  } catch (error) {
    throw error instanceof StreamLost ? error : new StreamLost("The stream broke.", error);
  } finally {
    clearTimeout(timer);
  }
}
