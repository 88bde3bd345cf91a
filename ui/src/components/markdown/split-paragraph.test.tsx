import { renderToStaticMarkup } from "react-dom/server";
import ReactMarkdown from "react-markdown";
import remarkGfm from "remark-gfm";
import { describe, expect, it } from "vitest";

import { splitParagraph, type ParagraphPiece } from "@/components/markdown/split-paragraph";

const sentence = "The keeper of the lighthouse counted **every** ship that _passed_ in `the night`. ";
const long = sentence.repeat(40);

function html(text: string): string {
  return renderToStaticMarkup(
    <ReactMarkdown remarkPlugins={[remarkGfm]} components={{ img: ({ src, alt }) => <i title={src}>{alt}</i> }}>
      {text}
    </ReactMarkdown>,
  );
}

function inPieces(pieces: readonly ParagraphPiece[]): string {
  const parts = pieces.map(({ text, gap }) => gap + html(text).replace(/^<p>|<\/p>$/g, ""));
  return `<p>${parts.join("")}</p>`;
}

function piecesOf(text: string): ParagraphPiece[] {
  return splitParagraph(text, false) ?? [];
}

/** Numbers that look like chance, and are the same each time. */
function* chance(seed: number): Generator<number> {
  for (let state = seed; ; ) {
    state = (state * 1664525 + 1013904223) % 4294967296;
    yield state / 4294967296;
  }
}

const words = ["word", "two", "snake_case", "Ünïcode", "1", "end.", "日本", "(so)", "5", "x"];
/** As a model writes them, and what it may get wrong. */
const closed = [
  "**two words**", "*one*", "_so_", "__so__", "***all***", "*a **b** c*", "**a *b***", "~~gone~~", "~it~",
  "`*`", "`` ` ``", "[*a* b](https://e.org/a_b)", "![a](https://e.org/a \"b\")", "[![a](u)](v)", "[1]",
  "\\*", "<https://e.org/*>", "https://e.org/a-b", "a-b@e.org", "5 < 6", "2 * 3",
];
const marks = [
  "*", "**", "***", "_", "__", "~", "~~", "`", "``", "[", "![", "]", "](https://e.org/a_b)", "](x y)",
  "<", "<b>", "<https://e.org/*>", "https://e.org", "www.e.org/a_b*", "a_b@e.org", "\\", "\\*", "&amp;",
  "!", "\"", "(", ")", "\n", "  \n", "|", "[1]", "[^1]", "*a [b*](c)", "🙂", "“", ">", "#", "-", ":", "$",
];

function hardText(seed: number): string {
  const numbers = chance(seed);
  const next = () => numbers.next().value as number;
  const one = (list: readonly string[]) => list[Math.floor(next() * list.length)] ?? "";
  let text = "";
  while (text.length < 1400) {
    const kind = next();
    text += kind < 0.004 ? one(marks) : kind < 0.3 ? one(closed) : one(words);
    if (next() < 0.99) text += " ";
  }
  return text;
}

describe("a long paragraph", () => {
  it("is cut before words, and is in pieces what it is as a whole", () => {
    const pieces = piecesOf(long);
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.map(({ text, gap }) => gap + text).join("")).toBe(long.trimEnd());
    expect(Math.max(...pieces.map(({ text }) => text.length))).toBeLessThan(800);
    expect(inPieces(pieces)).toBe(html(long));
  });

  it("keeps all but its last piece as it grows", () => {
    let settled: ParagraphPiece[] = [];
    for (let end = 1200; end <= long.length; end += 1) {
      const pieces = splitParagraph(long.slice(0, end), true) ?? [];
      expect(pieces.slice(0, settled.length)).toEqual(settled);
      settled = pieces.slice(0, -1);
    }
    expect(settled.length).toBeGreaterThan(3);
  });

  it.each([
    ["a heading", `${long}\n===`],
    ["a table", `| ${long} |\n| --- |`],
    ["a list", `- ${long}`],
    ["a definition", `[1]: ${long}`],
    ["a line across the page", `${long}\n***`],
    ["code", `    ${long}`],
    ["raw HTML", `<p>${long}</p>`],
    ["nothing", "  "],
  ])("is not %s", (_, text) => {
    expect(splitParagraph(text, false)).toBeNull();
  });

  it("is not cut while something may be open, unless it grows", () => {
    const open = `\`${long.replaceAll("`", "")}`;
    expect(splitParagraph(open, false)).toHaveLength(1);
    const pieces = splitParagraph(open, true) ?? [];
    expect(Math.max(...pieces.map(({ text }) => text.length))).toBeLessThan(1300);
  });

  it("is in pieces what it is as a whole, whatever marks it has", () => {
    let cut = 0;
    for (let seed = 1; seed <= 150; seed += 1) {
      const text = hardText(seed);
      const pieces = piecesOf(text);
      if (pieces.length > 1) cut += 1;
      if (pieces.length === 0) continue;
      expect(inPieces(pieces), text).toBe(html(text));
    }
    expect(cut).toBeGreaterThan(30);
  });
});
