import type { Element } from "hast";

import { classOf, textLength, partsOf, type CodePart } from "@/components/markdown/code/code-parts";
import type { Highlighter } from "@/components/markdown/code/highlighter";

/** Parts at the end of growing code whose highlighting may still change. */
const open = 2;

/** Characters that are highlighted fast enough at once: up to 1.5 ms per thousand were measured. */
const short = 12_000;

export interface Painted {
  className: string;
  parts: readonly CodePart[];
}

/**
 * Highlights a piece of code. While it grows, only its end is highlighted again: from the beginning of a
 * line, outside of any token. When complete, it is highlighted as a whole, because the result may differ,
 * unless it is so long that this would block the page.
 */
export class CodePainter {
  private settled = "";
  private parts: readonly CodePart[] = [];

  paint(code: string, language: string, growing: boolean, highlighter: Highlighter | null): Painted {
    const inSteps = growing || code.length > short;
    const from = inSteps && highlighter && code.startsWith(this.settled) ? this.settled.length : 0;
    const before = from > 0 ? this.parts : [];
    const painted = paint(code.slice(from), language, highlighter);
    const rest = partsOf(painted.children);
    const parts = [...before, ...rest];
    if (growing && highlighter && rest.length > open) {
      const done = rest.slice(0, -open);
      this.parts = [...before, ...done];
      this.settled = code.slice(0, from + done.reduce((sum, part) => sum + textLength(part), 0));
    }
    return { className: classOf(painted) ?? "", parts };
  }
}

function paint(code: string, language: string, highlighter: Highlighter | null): Element {
  const element: Element = {
    type: "element",
    tagName: "code",
    properties: language === "" ? {} : { className: [`language-${language}`] },
    children: [{ type: "text", value: code }],
  };
  const pre: Element = { type: "element", tagName: "pre", properties: {}, children: [element] };
  highlighter?.({ type: "root", children: [pre] });
  return element;
}
