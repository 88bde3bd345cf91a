import type { TFunction } from "i18next";

import { ApiError, Unreachable } from "@/api/client";
import en from "@/locales/en.json";

/** Why something the person asked for was not done. */
export interface Notice {
  /** The server's, or "unreachable". */
  code: string;
  /** The server's sentence. */
  message: string;
  /** What was typed stands in the input again. */
  kept?: boolean;
}

export function toNotice(error: unknown): Notice {
  if (error instanceof ApiError) return { code: error.code, message: error.message };
  if (error instanceof Unreachable) return { code: "unreachable", message: error.message };
  return { code: "unknown", message: error instanceof Error ? error.message : String(error) };
}

/** What happened, in a sentence. */
export function wordOf({ code, message, kept }: Notice, t: TFunction): string {
  if (code !== "unreachable") return message;
  return kept ? t("chat.notSent") : t("errors.unreachable");
}

type AdviceCode = keyof typeof en.advice;

/** What the person can do about it, or null. */
export function adviceFor(code: string, t: TFunction): string | null {
  return Object.hasOwn(en.advice, code) ? t(`advice.${code as AdviceCode}`) : null;
}
