/** A part of a paragraph that is parsed by itself. */
export interface ParagraphPiece {
  text: string;
  /** What stands between it and the one before. */
  gap: string;
}

/** Letters after which a piece ends, at the next word before which nothing is open. */
const enough = 600;
/** Letters after which it ends all the same, while it grows. */
const most = 2 * enough;

/** A line that is, or may become, something else than a paragraph's. */
const otherLine =
  /^(?: {4}|\t| {0,3}(?:#{1,6}(?:\s|$)|>|=+\s*$|[-+*](?:\s|$)|\d{1,9}[.)](?:\s|$)|(?:[-*_][ \t]*){3,}$|`{3}|~{3}|<[a-z/!?]|\||\[[^\]]+\]:|[ \t|:-]+$))/im;

/** All that may open or close something, and gaps before words. */
const marks =
  /\\[^]?|`+|\*+|\w*_[\w.+-]*@|_+|~+|!?\[|\]|<|(?:https?:\/\/|www\.)[^\s\]]*|(?<=[^\s\\])[ \n](?=\p{L})/giu;
const tag = /<(?:[a-z][a-z0-9+.-]+:[^\s<>]*|\/?[a-z][a-z0-9-]*\s*\/?)>/iy;
const destination = /\([^\s()<>\\]*(?:\s+"[^"\\]*")?\)/y;

/**
 * A paragraph in pieces that are, parsed one by one, what it is as a whole; null for what is, or may
 * become, something else. Where it is hard to tell, nothing is cut, unless it grows and is long.
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

/** What is open at a place of a text, or may be: whatever is not clear counts as open for good. */
class OpenMarks {
  private readonly stack: OpenMark[] = [];
  private unclear = false;

  get none(): boolean {
    return !this.unclear && this.stack.length === 0;
  }

  /** Reads a mark; where to go on after it. */
  after(mark: string, text: string, at: number): number {
    const end = at + mark.length;
    const [sign = ""] = mark;
    if (sign === "`") return this.afterCode(mark, text, end);
    if ("*_~".includes(sign)) this.emphasis(sign, mark.length, text[at - 1] ?? " ", text[end] ?? " ");
    else if (mark.endsWith("[")) this.stack.push({ sign: mark, count: 1, both: false });
    else if (sign === "]") return this.afterBracket(text, end);
    else if (sign === "<") return this.afterAngle(text, at);
    // Of an address with marks in it, it is not clear where it ends.
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
    // What is open in a link stays in it, and in a link there is no other link.
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

  /** Closes as many marks as there are, if they are the last that were opened. */
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
