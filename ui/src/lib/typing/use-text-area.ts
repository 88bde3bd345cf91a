import { useCallback, useLayoutEffect, useRef, type RefObject } from "react";

import { fitHeight, isLong, setText } from "@/lib/typing/fit-height";

export interface TextAreaHold {
  /** The text is higher than the text area may be: its height is the greatest one. */
  long: boolean;
  dir: "auto" | "ltr" | "rtl";
  /** To be called with what is typed. */
  typed: (text: string) => void;
}

const rightToLeft = /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}]/u;
const letter = /\p{L}/u;

/**
 * Keeps a text area's text and height. React's own way of controlling it copies the whole text at each letter
 * typed, and the browser looks for its direction: with 200 kB that takes a tenth of a second.
 */
export function useTextArea(
  area: RefObject<HTMLTextAreaElement | null>,
  text: string,
): TextAreaHold {
  const held = useRef("");
  useLayoutEffect(() => {
    const element = area.current;
    if (!element) return;
    if (text !== held.current) {
      setText(element, text);
      held.current = text;
    }
    fitHeight(element);
  }, [area, text]);
  const typed = useCallback((now: string) => {
    held.current = now;
  }, []);
  const long = isLong(text);
  return { long, dir: long ? directionOf(text) : "auto", typed };
}

function directionOf(text: string): "ltr" | "rtl" {
  return rightToLeft.test(letter.exec(text)?.[0] ?? "") ? "rtl" : "ltr";
}
