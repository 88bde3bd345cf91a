/** A part of a paragraph that is parsed on its own. */
export interface ParagraphPiece {
  text: string;
  /** The text between it and the piece before. */
  gap: string;
}

/** Characters after which a piece ends, at the next word outside all inline marks. */
const enough = 600;
/** Characters after which a growing one ends in any case. */
const most = 2 * enough;

/** A line that is, or may become, something other than part of a paragraph. */
const otherLine =
  /^(?: {4}|\t| {0,3}(?:#{1,6}(?:\s|$)|>|=+\s*$|[-+*](?:\s|$)|\d{1,9}[.)](?:\s|$)|(?:[-*_][ \t]*){3,}$|`{3}|~{3}|<[a-z/!?]|\||\[[^\]]+\]:|[ \t|:-]+$))/im;

/** Everything that may open or close inline marks, and gaps before words. */
const marks =
  /\\[^]?|`+|\*+|\w*_[\w.+-]*@|_+|~+|!?\[|\]|<|(?:https?:\/\/|www\.)[^\s\]]*|(?<=[^\s\\])[ \n](?=\p{L})/giu;
const tag = /<(?:[a-z][a-z0-9+.-]+:[^\s<>]*|\/?[a-z][a-z0-9-]*\s*\/?)>/iy;
const destination = /\([^\s()<>\\]*(?:\s+"[^"\\]*")?\)/y;

/**
 * Splits a paragraph into pieces that, parsed one by one, look like the whole; null for anything that is,
 * or may become, something else. Ambiguous text is not split, unless it is growing and long.
 */
export function splitParagraph(block: string, growing: boolean): ParagraphPiece[] | null {
  const text = block.trimEnd();
  if (!/^\S/.test(text) || text.includes("\r") || otherLine.test(text)) return null;
  const pieces: ParagraphPiece[] = [];
  let begin = 0;
  let open = new OpenMarks();
  const cut = (end: number) => {
    pieces.push({ text: text.slice(begin, end), gap: text.slice(Math.max(0, begin - 1), begin) });
    begin = end + 1;
    open = new OpenMarks();
  };
  marks.lastIndex = 0;
  for (let found = marks.exec(text); found; found = marks.exec(text)) {
    const [mark] = found;
    const at = found.index;
    if (mark !== " " && mark !== "\n") {
      marks.lastIndex = open.after(mark, text, at);
      continue;
    }
    const length = at - begin;
    if (length >= enough && (open.none || (growing && length >= most))) cut(at);
  }
  cut(text.length);
  return pieces;
}

interface OpenMark {
  sign: string;
  count: number;
  /** It could close something as well. */
  both: boolean;
}

/** Which inline marks are open, or may be, at an offset: ambiguous ones count as open to the end. */
class OpenMarks {
  private readonly stack: OpenMark[] = [];
  private unclear = false;

  get none(): boolean {
    return !this.unclear && this.stack.length === 0;
  }

  /** Reads a mark; returns the offset after it. */
  after(mark: string, text: string, at: number): number {
    const end = at + mark.length;
    const [sign = ""] = mark;
    if (sign === "`") return this.afterCode(mark, text, end);
    if ("*_~".includes(sign)) this.emphasis(sign, mark.length, text[at - 1] ?? " ", text[end] ?? " ");
    else if (mark.endsWith("[")) this.stack.push({ sign: mark, count: 1, both: false });
    else if (sign === "]") return this.afterBracket(text, end);
    else if (sign === "<") return this.afterAngle(text, at);
    // It is ambiguous where an address with marks in it ends.
    else if (/[*_~`[<]/.test(mark) || (sign !== "\\" && text[end] === "]" && !this.inBrackets)) {
      this.unclear = true;
    }
    return end;
  }

  private get inBrackets(): boolean {
    return this.stack.some(({ sign }) => sign.endsWith("["));
  }

  private afterCode(mark: string, text: string, from: number): number {
    const closing = new RegExp(`(?<!\`)\`{${mark.length}}(?!\`)`, "g");
    closing.lastIndex = from;
    if (closing.test(text)) return closing.lastIndex;
    this.unclear = true;
    return from;
  }

  private afterAngle(text: string, at: number): number {
    tag.lastIndex = at;
    if (tag.test(text)) return tag.lastIndex;
    if (/[a-z/!?]/i.test(text[at + 1] ?? "a")) this.unclear = true;
    return at + 1;
  }

  private afterBracket(text: string, end: number): number {
    const index = this.stack.findLastIndex(({ sign }) => sign.endsWith("["));
    const [bracket] = index < 0 ? [] : this.stack.splice(index, 1);
    if (!bracket || text[end] !== "(") return end;
    destination.lastIndex = end;
    const link = destination.test(text);
    // Marks opened inside a link close inside it, and links do not nest.
    const plain = index === this.stack.length && (bracket.sign !== "[" || !this.inBrackets);
    if (!link || !plain) this.unclear = true;
    return link ? destination.lastIndex : end;
  }

  private emphasis(sign: string, count: number, before: string, after: string) {
    const [left, right] = [kindOf(before), kindOf(after)];
    const toRight = right === "word" || (right === "mark" && left !== "word") || isSign(after);
    const toLeft = left === "word" || (left === "mark" && right !== "word") || isSign(before);
    const opens = toRight && (sign !== "_" || left !== "word" || !toLeft);
    const closes = toLeft && (sign !== "_" || right !== "word" || !toRight);
    const top = this.stack.at(-1);
    if (closes && top?.sign === sign && top.count === count) {
      this.stack.pop();
    } else if (closes && this.stack.some((one) => one.sign === sign)) {
      this.closeSome(sign, count, opens);
    } else if (opens) {
      this.stack.push({ sign, count, both: closes });
    }
  }

  /** Closes these marks, if they were opened last. */
  private closeSome(sign: string, count: number, opens: boolean) {
    let rest = count;
    while (rest > 0) {
      const top = this.stack.at(-1);
      if (top?.sign !== sign || top.both || opens || sign === "~") break;
      const closed = Math.min(top.count, rest);
      top.count -= closed;
      rest -= closed;
      if (top.count === 0) this.stack.pop();
    }
    if (rest > 0) this.unclear = true;
  }
}

function kindOf(letter: string): "space" | "mark" | "word" {
  if (/\s/.test(letter)) return "space";
  return /[\p{P}\p{S}]/u.test(letter) ? "mark" : "word";
}

function isSign(letter: string): boolean {
  return "*_~".includes(letter);
}
