import { ApiError, Unreachable } from "@/api/client";
import type { ReplyStart } from "@/api/endpoints";
import { StreamLost } from "@/api/stream";
import type { ErrorBody, TurnEvent } from "@/api/types";

/** How long a socket may take to open. */
const openTimeoutMs = 10_000;
/** How often an idle socket is pinged, and how long without a frame until it counts as dead. */
const pingMs = 20_000;
const silenceMs = 45_000;

/** The socket could not be opened: nothing was sent. */
export class SocketUnavailable extends Error {
  constructor() {
    super("The WebSocket could not be opened.");
    this.name = "SocketUnavailable";
  }
}

type Frame = TurnEvent & { session_id: string; message_id?: string };

interface Listener {
  sessionId: string;
  /** The reply that it follows, once that is known. */
  messageId: string | null;
  push: (item: TurnEvent | Error) => void;
}

/**
 * One WebSocket for all replies that this page follows. It is opened for the first one, and reopened
 * for the next one after it broke; listeners then receive StreamLost.
 */
export class ChatSocket {
  private readonly url: string;
  private socket: Promise<WebSocket> | null = null;
  private readonly listeners = new Set<Listener>();

  constructor(url: string) {
    this.url = url;
  }

  /**
   * The events of a new reply, or of the one in progress from code point `from` on.
   * Throws SocketUnavailable if nothing could be sent, ApiError if the server refuses, Unreachable if
   * the socket broke before the server acknowledged the message, StreamLost if it broke afterwards.
   */
  async *replies(
    sessionId: string,
    start: ReplyStart | null,
    from: number,
    signal: AbortSignal,
  ): AsyncGenerator<TurnEvent, void, undefined> {
    const socket = await this.open();
    signal.throwIfAborted();
    const queue: (TurnEvent | Error)[] = [];
    let wake: () => void = () => undefined;
    const listener: Listener = {
      sessionId,
      messageId: null,
      push(item) {
        queue.push(item);
        wake();
      },
    };
    const aborted = () => {
      listener.push(signal.reason as Error);
    };
    this.listeners.add(listener);
    signal.addEventListener("abort", aborted, { once: true });
    let accepted = start === null;
    try {
      socket.send(JSON.stringify(messageOf(sessionId, start, from)));
      for (;;) {
        const item = queue.shift();
        if (item === undefined) {
          await new Promise<void>((resolve) => (wake = resolve));
        } else if (item instanceof Error) {
          throw item instanceof StreamLost && !accepted ? new Unreachable(item) : item;
        } else {
          accepted = true;
          yield item;
          if (item.type === "done" || item.type === "error") return;
        }
      }
    } finally {
      signal.removeEventListener("abort", aborted);
      this.listeners.delete(listener);
    }
  }

  private open(): Promise<WebSocket> {
    this.socket ??= this.connect();
    return this.socket;
  }

  private connect(): Promise<WebSocket> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(this.url, "appliance.v1");
      let receivedAt = Date.now();
      const timeout = setTimeout(() => {
        socket.close();
      }, openTimeoutMs);
      const heartbeat = setInterval(() => {
        // After a machine has slept, a socket may be dead without being closed.
        if (Date.now() - receivedAt > silenceMs) socket.close();
        else if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
      }, pingMs);
      socket.onopen = () => {
        clearTimeout(timeout);
        resolve(socket);
      };
      socket.onmessage = ({ data }) => {
        receivedAt = Date.now();
        this.receive(String(data));
      };
      socket.onclose = () => {
        clearTimeout(timeout);
        clearInterval(heartbeat);
        this.socket = null;
        reject(new SocketUnavailable());
        for (const listener of this.listeners) {
          listener.push(new StreamLost("The socket closed."));
        }
      };
    });
  }

  private receive(text: string) {
    const frame = JSON.parse(text) as Frame | { type: "pong"; session_id?: undefined };
    if (frame.session_id === undefined) return;
    const { session_id, message_id, ...event } = frame;
    for (const listener of this.listeners) {
      if (listener.sessionId !== session_id) continue;
      if (message_id === undefined) listener.push(refusalOf(frame));
      else if (listener.messageId === null || listener.messageId === message_id) {
        listener.messageId = message_id;
        listener.push(event);
      }
    }
  }
}

/** An error that belongs to no reply: the request was refused. */
function refusalOf(frame: Frame): Error {
  const error: Partial<ErrorBody> = frame.type === "error" ? frame.error : {};
  return new ApiError(statusOf(error), error);
}

const statuses: Readonly<Record<string, number>> = {
  authentication_error: 401,
  permission_error: 403,
  rate_limit_error: 429,
  invalid_request_error: 400,
  server_error: 503,
};

function statusOf({ code = "", type = "" }: Partial<ErrorBody>): number {
  return code.endsWith("not_found") ? 404 : (statuses[type] ?? 500);
}

function messageOf(sessionId: string, start: ReplyStart | null, from: number): object {
  if (start === null) return { type: "follow", session_id: sessionId, from };
  const { kind, ...rest } = start;
  return { type: kind, session_id: sessionId, ...rest };
}
