/** The marker of a list item. */
export interface ListMark {
  /** Items of one list have the same sign. */
  sign: string;
  /** 0: the items are not numbered. */
  number: number;
  /** Where the item's text begins: lines indented that far belong to it. */
  offset: number;
  /** Only marker characters so far: it may still become a thematic break. */
  empty: boolean;
}

const item = /^( {0,3})([-+*]|\d{1,9}[.)])([ \t]*)(.*?)[ \r\n]*$/;
const rule = /^ {0,3}(?:(?:- *){3,}|(?:\* *){3,})[ \r\n]*$/;
const toBe = /^ {0,3}(?:[-+*]|\d{1,9}[.)]?)$/;

export function listMarkOf(line: string): ListMark | null {
  if (rule.test(line)) return null;
  const [, before = "", mark = "", after = "", text = ""] = item.exec(line) ?? [];
  if (mark === "" || (after === "" && text !== "")) return null;
  // More than four spaces: the item begins with indented code.
  const gap = text === "" || after.length > 4 ? 1 : after.length;
  return {
    sign: mark.at(-1) ?? "",
    number: Number.parseInt(mark, 10) || 0,
    offset: before.length + mark.length + gap,
    empty: /^[-+* ]*$/.test(text),
  };
}

/** Whether it may still become an item, or bold text. */
export function isMarkToBe(line: string): boolean {
  return toBe.test(line);
}

export function indentOf(line: string): number {
  const before = /^[ \t]*/.exec(line)?.[0] ?? "";
  return before.includes("\t") ? before.length + 3 : before.length;
}
