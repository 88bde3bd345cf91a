import type { TFunction } from "i18next";

import { ApiError, Unreachable } from "@/api/client";
import en from "@/locales/en.json";

/** Why something that was requested failed. */
export interface Notice {
  /** The server's error code, or "unreachable". */
  code: string;
  /** The server's error message. */
  message: string;
  /** The message was put back into the input. */
  kept?: boolean;
}

export function toNotice(error: unknown): Notice {
  if (error instanceof ApiError) return { code: error.code, message: error.message };
  if (error instanceof Unreachable) return { code: "unreachable", message: error.message };
  return { code: "unknown", message: error instanceof Error ? error.message : String(error) };
}

/** What happened. */
export function noticeText({ code, message, kept }: Notice, t: TFunction): string {
  if (code !== "unreachable") return message;
  return kept ? t("chat.notSent") : t("errors.unreachable");
}

type AdviceCode = keyof typeof en.advice;

/** What can be done about it, or null. */
export function adviceFor(code: string, t: TFunction): string | null {
  return Object.hasOwn(en.advice, code) ? t(`advice.${code as AdviceCode}`) : null;
}
