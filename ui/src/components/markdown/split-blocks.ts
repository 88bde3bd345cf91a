import { detailsDepth, opensDetails } from "@/components/markdown/details-parts";
import { indentOf, listMarkOf, type ListMark } from "@/components/markdown/list-mark";

interface Split {
  blocks: string[];
  /** The link reference definitions, from anywhere in the text. */
  definitions: string;
}

/**
 * Splits Markdown into its top-level blocks, so that a growing text re-renders only its last one.
 * The blocks joined are the text, and while it grows, all blocks but the last stay the same.
 */
export function splitBlocks(text: string): Split {
  const blocks: string[] = [];
  let definitions = "";
  let start = 0;
  let kind: Kind = "other";
  /** The current item of a list. */
  let mark: ListMark | null = null;
  let fence: Fence | null = null;
  let blankBefore = true;
  /** The line before was a definition. */
  let defined = false;
  /** How many `<details>` are open. */
  let depth = 0;
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf("\n", at);
    const end = newline < 0 ? text.length : newline + 1;
    const line = text.slice(at, end);
    if (fence && !(fence.quoted && !quoted.test(line))) {
      if (closes(line, fence)) fence = null;
    } else if (depth > 0) {
      fence = fenceOf(line, "other");
      depth = Math.max(0, depth + detailsDepth(line));
      if (depth === 0) kind = "closed";
    } else if (line.trim() === "") {
      fence = null;
      blankBefore = true;
    } else {
      const html = text[start] === "<" && kind !== "closed";
      const details = opensDetails(line);
      const note = noteLine.test(line) && !html;
      // In a paragraph it would be text.
      const defines: boolean = definition.test(line) && !note && (blankBefore || defined);
      if (defines) definitions += line;
      defined = defines;
      const next = listMarkOf(line);
      if (
        note ||
        details ||
        kind === "closed" ||
        (blankBefore && (start === at || !continues(kind, line))) ||
        (next && !html && beginsList(next, mark, line))
      ) {
        if (at > start) blocks.push(text.slice(start, at));
        start = at;
        kind = kindOf(line);
        mark = null;
      }
      if (kind === "list" && isOutside(mark, line)) mark = next ?? mark;
      fence = fenceOf(line, kind);
      if (details) {
        depth = Math.max(0, detailsDepth(line));
        if (depth === 0) kind = "closed";
      }
      blankBefore = false;
    }
    at = end;
  }
  if (start < text.length) blocks.push(text.slice(start));
  return { blocks, definitions };
}

/** Definitions by name; the first one of a name counts. */
export function definitionsByName(definitions: string): Map<string, string> {
  const lines = definitions.split("\n").filter(Boolean).reverse();
  return new Map(lines.map((line) => [nameOf(/\[([^\]]+)\]:/.exec(line)?.[1]), line]));
}

/** The definitions that a block refers to. */
export function definitionsFor(block: string, definitions: Map<string, string>): string {
  // Raw HTML is shown as text, and the lines below would become part of it.
  if (definitions.size === 0 || block.startsWith("<")) return "";
  const names = new Set(Array.from(block.matchAll(label), ([, name]) => nameOf(name)));
  // A footnote would include the line below it.
  return [...names].flatMap((name) => definitions.get(name) ?? []).join("\n\n");
}

const label = /\[([^[\]]+)\]/g;

/** Names are compared without regard to case and white space. */
export function nameOf(text: string | undefined): string {
  return text?.trim().replace(/\s+/g, " ").toLowerCase() ?? "";
}

/** "closed": whatever follows is another block. */
type Kind = "list" | "indented" | "note" | "closed" | "other";

interface Fence {
  marks: string;
  quoted: boolean;
  inList: boolean;
}

/** The first line of a footnote. */
export const noteLine = /^ {0,3}\[\^([^\]]+)\]:[ \t]*/;
const definition = /^ {0,3}\[[^\]]+\]:/;
const listItem = /^ {0,3}(?:[-+*]|\d{1,9}[.)])(?:\s|$)/;
/** The marker of an item whose line is still incomplete. */
const listItemToBe = /^ {0,3}\d{1,9}$/;
const indented = /^(?: {4}|\t)/;
const quoted = /^ {0,3}>/;
const fenceLine = /^ {0,3}(?:> ?)*(`{3,}(?!.*`)|~{3,})/;
const fenceLineInList = /^\s*(?:(?:[-+*]|\d{1,9}[.)])\s+)*(`{3,}(?!.*`)|~{3,})/;

/** Whether the line is not part of the item before it. */
function isOutside(item: ListMark | null, line: string): boolean {
  return item === null || indentOf(line) < item.offset;
}

/** Whether an item directly below other text, or below an item of another list, begins a list. */
function beginsList(next: ListMark, item: ListMark | null, line: string): boolean {
  if (next.empty) return false;
  if (item) return isOutside(item, line) && next.sign !== item.sign;
  // "The year was\n1984. It rained." is not a list.
  return next.number <= 1;
}

function kindOf(line: string): Kind {
  if (listItem.test(line)) return "list";
  if (noteLine.test(line)) return "note";
  return indented.test(line) ? "indented" : "other";
}

/** Whether `line`, after a blank line, still belongs to a block of this kind. */
function continues(kind: Kind, line: string): boolean {
  if (kind === "list") return /^\s/.test(line) || listItem.test(line) || listItemToBe.test(line);
  return (kind === "indented" || kind === "note") && indented.test(line);
}

function fenceOf(line: string, kind: Kind): Fence | null {
  if (kind === "indented") return null;
  const inList = kind === "list";
  const marks = (inList ? fenceLineInList : fenceLine).exec(line)?.[1];
  return marks === undefined ? null : { marks, quoted: quoted.test(line), inList };
}

function closes(line: string, { marks, inList }: Fence): boolean {
  const found = (inList ? /^\s*([`~]+)\s*$/ : /^ {0,3}(?:> ?)*([`~]+)\s*$/).exec(line)?.[1];
  if (found === undefined || found.length < marks.length) return false;
  return found === (marks[0] ?? "").repeat(found.length);
}
