/**
 * Formulas and the few HTML tags that are shown, hidden from the Markdown parser: it would read their
 * `_`, `*`, `\`, `|` and line ends as marks. Each becomes a word of letters that contains its source, so
 * that blocks can still be cut, compared and rendered one by one.
 */

/** Noncharacters (no text has them) that begin a formula or a tag, end both, and begin an encoded sign. */
const [formula, tagMark, close, sign] = ["\uFDD0", "\uFDD1", "\uFDD2", "\uFDD3"] as const;
/** Signs become letters from here on, behind `sign`. */
const letters = 0x4e00;
/** Punctuation on both sides, as the source has it: what stands beside decides about emphasis. */
const edge = "§";

/** A formula's delimiters. */
const delimiters = [
  { open: "$", close: "$", display: false },
  { open: "$$", close: "$$", display: true },
  { open: "\\(", close: "\\)", display: false },
  { open: "\\[", close: "\\]", display: true },
] as const;

type Delimiter = (typeof delimiters)[number];

/** A part of a text that was protected. */
export type Part =
  | { kind: "text"; text: string }
  | { kind: "formula"; tex: string; display: boolean; source: string }
  | { kind: "tag"; name: string; closing: boolean; source: string };

const marks = /`+|~{3,}|\$+|\\[^]|<\/?(?:br|su[bp]|kbd) *\/?>/gi;
const emptyLine = /\n[ \t>]*\n/g;
/** What stands before a fence in its line: nothing, or marks of quotes and lists. */
const beforeFence = /(?:^|\n)(?:[ \t]|>|[-+*][ \t]|\d{1,9}[.)][ \t])*$/;

/**
 * Protects a text that may be growing: only what follows its last settled paragraph is read again.
 */
export class Protector {
  private settled = "";
  private shown = "";

  /**
   * The text with its formulas and tags protected. A formula that the end of the text leaves open is one
   * as well while the text grows, or if it can be nothing else.
   */
  protect(text: string, growing: boolean): string {
    const known = this.settled !== "" && text.startsWith(this.settled);
    const before = known ? this.shown : "";
    const rest = known ? text.slice(this.settled.length) : text;
    const { shown, settled } = protectPart(rest, growing);
    if (growing && settled) {
      this.settled = text.slice(0, text.length - rest.length + settled.source);
      this.shown = before + shown.slice(0, settled.shown);
    }
    return before + shown;
  }
}

/** A text of its own, protected. */
export function protect(text: string, growing: boolean): string {
  return new Protector().protect(text, growing);
}

interface ProtectedPart {
  shown: string;
  /** How much of the source, and of what is shown for it, no later text can change. */
  settled: { source: number; shown: number } | null;
}

function protectPart(text: string, growing: boolean): ProtectedPart {
  if (!/[$`~]|\\[([]|<\/?(?:br|su[bp]|kbd)/i.test(text)) return { shown: text, settled: null };
  const source = text.replace(/[\uFDD0-\uFDD3]/g, "\uFFFD");
  const state = { limit: 0, closers: new Map<string, number>(), unclosed: new Set<string>() };
  const openTags: string[] = [];
  let settled: ProtectedPart["settled"] = null;
  let out = "";
  let done = 0;
  marks.lastIndex = 0;
  for (let found = marks.exec(source); found; found = marks.exec(source)) {
    const [mark] = found;
    const at = found.index;
    if (at >= state.limit) {
      state.limit = paragraphEnd(source, at);
      state.closers.clear();
      state.unclosed.clear();
      openTags.length = 0;
      const line = source.lastIndexOf("\n", at) + 1;
      settled = { source: line, shown: out.length + line - done };
    }
    const [first] = mark;
    if (first === "`" || first === "~") {
      marks.lastIndex = codeEnd(source, at, mark, state.limit);
    } else if (first === "<") {
      noteTag(openTags, mark);
      out += source.slice(done, at) + encodeTag(mark);
      done = marks.lastIndex;
    } else {
      const made = formulaAt(source, at, mark, state, growing);
      if (!made) continue;
      out += source.slice(done, at) + made.word;
      done = made.end;
      marks.lastIndex = done;
    }
  }
  const ends = growing && state.limit === source.length ? openTags.reverse() : [];
  const shown = out + source.slice(done) + ends.map((name) => encodeTag(`</${name}>`)).join("");
  return { shown, settled };
}

/** The protected text as it was written. */
export function restore(text: string): string {
  if (!text.includes(close)) return text;
  return splitProtected(text)
    .map((part) => (part.kind === "text" ? part.text : part.source))
    .join("");
}

const protectedPart = /§\uFDD0([a-dA-D])([^\uFDD2]*)\uFDD2§|<\uFDD1([^\uFDD2]*)\uFDD2>/g;

/** The formulas and tags of a protected text, and what stands between them. */
export function splitProtected(text: string): Part[] {
  const parts: Part[] = [];
  let done = 0;
  for (const found of text.matchAll(protectedPart)) {
    if (found.index > done) parts.push({ kind: "text", text: text.slice(done, found.index) });
    done = found.index + found[0].length;
    const [, kind, body = "", tag] = found;
    parts.push(kind === undefined ? tagOf(decode(tag ?? "")) : formulaOf(kind, decode(body)));
  }
  if (done < text.length) parts.push({ kind: "text", text: text.slice(done) });
  return parts;
}

/** Where the paragraph ends that `at` is in; no formula extends beyond it, as in TeX. */
function paragraphEnd(text: string, at: number): number {
  emptyLine.lastIndex = at;
  return emptyLine.exec(text)?.index ?? text.length;
}

function codeEnd(text: string, at: number, mark: string, limit: number): number {
  const from = at + mark.length;
  if (mark.length >= 3 && opensFence(text, at, mark)) {
    const closing = new RegExp(`\\n[ \\t>]*${mark}${mark.charAt(0)}*[ \\t]*(?=\\n|$)`, "g");
    closing.lastIndex = from;
    return closing.test(text) ? closing.lastIndex : text.length;
  }
  if (mark.startsWith("~")) return from;
  const closing = new RegExp(`(?<!\`)${mark}(?!\`)`, "g");
  closing.lastIndex = from;
  const found = closing.exec(text);
  if (found && found.index < limit) return closing.lastIndex;
  // Code that is still open, or a mark alone.
  return limit === text.length ? limit : from;
}

function opensFence(text: string, at: number, mark: string): boolean {
  const before = text.slice(text.lastIndexOf("\n", at - 1) + 1, at);
  return beforeFence.test(before) && (mark.startsWith("~") || !lineFrom(text, at + mark.length).includes("`"));
}

function lineFrom(text: string, from: number): string {
  const end = text.indexOf("\n", from);
  return text.slice(from, end < 0 ? text.length : end);
}

/** What is known about the paragraph that is read, so that nothing is searched twice. */
interface State {
  /** Where it ends. */
  limit: number;
  /** The next closing delimiters; infinity: there is none. */
  closers: Map<string, number>;
  /** Delimiters that nothing closes, and that are no open formulas either. */
  unclosed: Set<string>;
}

interface Encoded {
  word: string;
  /** The offset behind its source. */
  end: number;
}

function formulaAt(
  text: string,
  at: number,
  mark: string,
  state: State,
  growing: boolean,
): Encoded | null {
  const kind = delimiters.findIndex(({ open }) => open === mark);
  const delimiter = delimiters[kind];
  if (!delimiter) return null;
  const from = at + mark.length;
  const end = closingAt(text, from, delimiter, state);
  const name = "abcd".charAt(kind);
  if (end >= 0) {
    const body = text.slice(from, end);
    const after = end + mark.length;
    if (!isFormula(body, delimiter, text.slice(after, after + 2))) return null;
    return { word: encode(name, body), end: after };
  }
  if (state.limit < text.length || state.unclosed.has(mark)) return null;
  if (!isOpenFormula(text.slice(from), delimiter, growing)) {
    if (mark !== "$") state.unclosed.add(mark);
    return null;
  }
  return { word: encode(name.toUpperCase(), text.slice(from)), end: text.length };
}

/** The offset of the closing delimiter, or -1. */
function closingAt(text: string, from: number, delimiter: Delimiter, state: State): number {
  const { close, display } = delimiter;
  let end = state.closers.get(close) ?? -1;
  if (end < from) {
    end = nextCloser(text, from, close, state.limit);
    // A formula between single dollars has no other ones: the search ends at the next.
    if (close !== "$") state.closers.set(close, end);
  }
  if (end === Infinity) return -1;
  return display || !/\n[ \t]*(?:[-+*#>|]|\d+[.)]) /.test(text.slice(from, end)) ? end : -1;
}

function nextCloser(text: string, from: number, close: string, limit: number): number {
  const signs = /\\[^]|\$+/g;
  signs.lastIndex = from;
  for (let found = signs.exec(text); found && found.index < limit; found = signs.exec(text)) {
    if (found[0] === close) return found.index;
    if (close === "$" && found[0].startsWith("$")) return Infinity;
  }
  return Infinity;
}

/** What only a formula has. */
const texSign = /[\\^_{}=]/;
const functions = /^(?:sin|cos|tan|cot|log|exp|max|min|lim|det|gcd|mod|arg|inf|sup|dim|ker)$/;

/** Whether it is several words, as between two prices. */
function isProse(body: string): boolean {
  if (texSign.test(body) || /^\s*[a-z]+\s*$/i.test(body)) return false;
  const words = body.match(/[a-z]{2,}/gi) ?? [];
  return words.some((word) => !functions.test(word) && (/^\s*\d/.test(body) || /[a-z]{3}/.test(word)));
}

function isFormula(body: string, { open }: Delimiter, after: string): boolean {
  if (body.trim() === "") return false;
  // An escaped link, and an escaped number of a reference.
  if (open === "\\[") return !/^(?:\(|\\\()/.test(after) && !/^\s*\d+\s*$/.test(body);
  if (open === "\\(") return true;
  if (isProse(body)) return false;
  if (open === "$$") return true;
  if (/^\s|\s$/.test(body) || /^\d/.test(after)) return false;
  // "$n$th" is one, "$HOME/bin:$PATH" is not.
  return !/^\p{L}/u.test(after) || /^[^\s"'`/:.]+$/.test(body);
}

function isOpenFormula(body: string, { open }: Delimiter, growing: boolean): boolean {
  if (open.startsWith("\\")) return growing || /\\[a-z]/i.test(body);
  if (!growing && open === "$") return false;
  if (open === "$$") return !isProse(body) && (growing || texSign.test(body));
  if (/^\s|^$/.test(body) || /[\n$]/.test(body.replace(/\\[^]/g, ""))) return false;
  return texSign.test(body) || /^[a-z]{1,2}$/i.test(body);
}

/** Remembers which tags are open. */
function noteTag(open: string[], mark: string) {
  const { name, closing } = tagOf(mark);
  if (!closing && name !== "br") open.push(name);
  const last = closing ? open.lastIndexOf(name) : -1;
  if (last >= 0) open.length = last;
}

function encode(kind: string, body: string): string {
  return edge + formula + kind + encoded(body) + close + edge;
}

function encodeTag(source: string): string {
  return `<${tagMark}${encoded(source)}${close}>`;
}

function encoded(source: string): string {
  return source.replace(/[\0-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]/g, (one) => {
    return sign + String.fromCharCode(letters + one.charCodeAt(0));
  });
}

function decode(text: string): string {
  return text.replace(/\uFDD3([^])/g, (_, letter: string) => {
    return String.fromCharCode(letter.charCodeAt(0) - letters);
  });
}

function formulaOf(kind: string, body: string): Part {
  const whole = kind === kind.toLowerCase();
  const delimiter = delimiters["abcd".indexOf(kind.toLowerCase())] ?? delimiters[0];
  const { open, close, display } = delimiter;
  return {
    kind: "formula",
    // While it is open, its last sign may be half of the closing delimiter.
    tex: withoutQuotes(whole ? body : body.replace(/\$$|\\$/, "")),
    display,
    source: open + body + (whole ? close : ""),
  };
}

/** Without the marks of a quote before its lines. */
function withoutQuotes(body: string): string {
  const [first = "", ...rest] = body.split("\n");
  if (!rest.every((line) => /^[ \t]*>/.test(line))) return body;
  return [first, ...rest.map((line) => line.replace(/^[ \t>]*/, ""))].join("\n");
}

function tagOf(source: string): Part & { kind: "tag" } {
  const name = /[a-z]+/i.exec(source)?.[0].toLowerCase() ?? "";
  return { kind: "tag", name, closing: source.startsWith("</"), source };
}
