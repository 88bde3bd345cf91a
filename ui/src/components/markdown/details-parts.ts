/** `<details>` in Markdown: a block with a summary, whose content is Markdown again. */
export interface DetailsParts {
  summary: string;
  text: string;
  /** It has its end tag. */
  whole: boolean;
  /** Written as open. */
  open: boolean;
}

const beginning = /^ {0,3}<details( open)? *>/i;
const summaryPart = /^\s*<summary>([^]*?)(?:<\/summary>|$)/i;

/** Whether the line begins one. */
export function opensDetails(line: string): boolean {
  return beginning.test(line);
}

/** How many more of them a line opens than it closes. */
export function detailsDepth(line: string): number {
  const opened = line.match(/<details(?: open)? *>/gi)?.length ?? 0;
  return opened - (line.match(/<\/details *>/gi)?.length ?? 0);
}

/** The parts of a block; null if it is something else. */
export function detailsParts(block: string): DetailsParts | null {
  const [start, open] = beginning.exec(block) ?? [];
  if (start === undefined) return null;
  const rest = block.slice(start.length).trimEnd();
  const end = /<\/details *>$/i.exec(rest);
  const inner = end ? rest.slice(0, end.index) : rest;
  // Text behind its end tag.
  if (!end && /<\/details *>/i.test(inner) && detailsDepth(block) <= 0) return null;
  const [head = "", summary = ""] = summaryPart.exec(inner) ?? [];
  return {
    summary: summary.trim(),
    text: inner.slice(head.length).replace(/^[ \t]*\n+/, ""),
    whole: end !== null,
    open: open !== undefined,
  };
}
