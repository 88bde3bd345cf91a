import { indentOf, isMarkToBe, listMarkOf, type ListMark } from "@/components/markdown/list-mark";
import { splitParagraph, type ParagraphPiece } from "@/components/markdown/split-paragraph";

/** A long block in pieces that are rendered one by one, so that the growing one is always short. */
export type Pieces = ListPieces | TablePieces | Paragraph | Quote | Code;

export interface ListPieces {
  kind: "list";
  ordered: boolean;
  /** The number of the first item. */
  start: number;
  items: readonly { text: string; loose: boolean }[];
}

export interface TablePieces {
  kind: "table";
  /** Each with the table's head before its rows, which determines the columns. */
  tables: readonly string[];
}

export interface Paragraph {
  kind: "paragraph";
  pieces: readonly ParagraphPiece[];
}

export interface Quote {
  kind: "quote";
  /** The quoted text, without the marks before its lines. */
  text: string;
}

export interface Code {
  kind: "code";
  code: string;
  /** "": none. */
  language: string;
}

/** Characters after which a piece ends, at the next item or row. */
const enough = 600;

const definition = /^ {0,3}\[[^\]]+\]:/;
const delimiterRow = /^ {0,3}\|(?: *:?-+:? *\|)+ *$/;
const row = /^ {0,3}\|/;

/**
 * A list by its items, a table by its rows, a paragraph by its words, and the content of a quote or a
 * fence; null for anything else, and for blocks that can't be split without parsing the whole. While a
 * block grows, all pieces but the last stay the same.
 */
export function splitPieces(block: string, growing = false): Pieces | null {
  return (
    code(block) ?? quote(block) ?? listPieces(block) ?? tablePieces(block) ?? paragraph(block, growing)
  );
}

function paragraph(block: string, growing: boolean): Paragraph | null {
  const pieces = splitParagraph(block, growing);
  return pieces && { kind: "paragraph", pieces };
}

const quoted = /^ {0,3}>/;
/** A line without a mark, or with one before a tab, whose width depends on the mark. */
const unquoted = /^(?! {0,3}>(?! ?\t)).*\S/m;

function quote(block: string): Quote | null {
  if (!quoted.test(block) || unquoted.test(block)) return null;
  return { kind: "quote", text: block.replace(/^ {0,3}> ?/gm, "") };
}

const fence = /^(`{3,}|~{3,})([\w+#.-]*)[ \t]*\n/;

function code(block: string): Code | null {
  const [opening, marks = "", language = ""] = fence.exec(block) ?? [];
  if (opening === undefined || block.includes("\r")) return null;
  const text = block.slice(opening.length);
  const closing = new RegExp(`^ {0,3}${marks}${marks.charAt(0)}*[ \\t]*$`, "m").exec(text);
  if (closing && text.slice(closing.index + closing[0].length).trim() !== "") return null;
  const lines = text.slice(0, closing?.index).replace(/[^\n]$/, "$&\n");
  return { kind: "code", code: lines === "\n" ? "" : lines, language };
}

function listPieces(block: string): ListPieces | null {
  const items: { text: string; loose: boolean }[] = [];
  let first: ListMark | null = null;
  let offset = 0;
  let begin = 0;
  let loose = false;
  let blank = false;
  for (const { line, at, last } of linesOf(block)) {
    if (line.trim() === "") {
      blank = true;
      continue;
    }
    if (definition.test(line)) return null;
    const mark = listMarkOf(line);
    const uncertain = last && (isMarkToBe(line) || mark?.empty);
    if (first && (indentOf(line) >= offset || uncertain)) {
      blank = false;
      continue;
    }
    if (!mark || (first && mark.sign !== first.sign)) return null;
    // Blank lines between its items make a list loose. Pieces before the first blank line stay as they are.
    if (first && blank) loose = true;
    if (at - begin >= enough) {
      items.push({ text: block.slice(begin, at), loose });
      begin = at;
    }
    first ??= mark;
    offset = mark.offset;
    blank = false;
  }
  if (!first) return null;
  items.push({ text: block.slice(begin), loose });
  return { kind: "list", ordered: first.sign === "." || first.sign === ")", start: first.number, items };
}

function tablePieces(block: string): TablePieces | null {
  const [head, delimiters, ...rows] = [...linesOf(block)];
  if (!head || !delimiters || !row.test(head.line) || !delimiterRow.test(delimiters.line)) return null;
  if (barsOf(head.line) !== barsOf(delimiters.line)) return null;
  const top = block.slice(0, delimiters.end);
  const tables: string[] = [];
  let begin = delimiters.end;
  for (const { line, at } of rows) {
    if (line.trim() !== "" && !row.test(line)) return null;
    if (at - begin >= enough) {
      tables.push(top + block.slice(begin, at));
      begin = at;
    }
  }
  tables.push(top + block.slice(begin));
  return { kind: "table", tables };
}

interface Line {
  /** Without its line end. */
  line: string;
  at: number;
  end: number;
  /** It may be incomplete. */
  last: boolean;
}

function* linesOf(text: string): Generator<Line> {
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf("\n", at);
    const last = newline < 0;
    const end = last ? text.length : newline + 1;
    yield { line: text.slice(at, last ? end : newline).replace(/\r$/, ""), at, end, last };
    at = end;
  }
}

/** A table's rows are split at unescaped bars. */
function barsOf(line: string): number {
  return line.trim().match(/(?<!\\)\|/g)?.length ?? 0;
}
