import { ApiError, Unreachable } from "@/api/client";

/** Why something the person asked for was not done. `code` is the server's, or "unreachable". */
export interface Notice {
  code: string;
  message: string;
}

export function toNotice(error: unknown): Notice {
  if (error instanceof ApiError) return { code: error.code, message: error.message };
  if (error instanceof Unreachable) return { code: "unreachable", message: error.message };
  return { code: "unknown", message: error instanceof Error ? error.message : String(error) };
}

const advice: Readonly<Record<string, string>> = {
  context_length_exceeded: "Shorten the message, or start a new chat.",
  model_loading: "Send it again when the model is ready.",
  model_load_failed: "The appliance's log says why the model could not be loaded.",
  model_not_found: "Look at the models on this machine, then send it again.",
  worker_died: "The model is being started again. Send the message again in a moment.",
  queue_full: "Others are being answered. Send it again in a moment.",
  shutting_down: "The appliance is stopping. Send it again when it is back.",
  store_full: "Free some space on the appliance's disk, then send it again.",
  reply_in_progress: "Wait until the reply is written, or stop it.",
  unreachable: "Send it again when the server is back.",
};

/** What the person can do about it, or null. */
export function adviceFor(code: string): string | null {
  return advice[code] ?? null;
}
