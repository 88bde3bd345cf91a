import { describe, expect, it } from "vitest";

import { splitBlocks } from "@/components/markdown/split-blocks";

const mixed = `# Title

A paragraph
of two lines.

- one

- two

  \`\`\`py
  x = 1

  y = 2
  \`\`\`

1. first

   more of it

> quote

\`\`\`python
def f():

    return "\`\`\`"
\`\`\`

    indented

    still

| a | b |
| - | - |
| 1 | 2 |

The end.`;

describe("splitBlocks", () => {
  it("cuts at the blank lines between blocks and nowhere else", () => {
    expect(splitBlocks(mixed).map((block) => block.trimEnd().split("\n")[0])).toEqual([
      "# Title",
      "A paragraph",
      "- one",
      "> quote",
      "```python",
      "    indented",
      "| a | b |",
      "The end.",
    ]);
  });

  it("loses no character, wherever the text ends", () => {
    for (let end = 0; end <= mixed.length; end += 1) {
      const text = mixed.slice(0, end);
      expect(splitBlocks(text).join("")).toBe(text);
    }
  });

  it("keeps all but the last block as the text grows", () => {
    let settled: string[] = [];
    for (let end = 1; end <= mixed.length; end += 1) {
      const blocks = splitBlocks(mixed.slice(0, end));
      expect(blocks.slice(0, settled.length)).toEqual(settled);
      settled = blocks.slice(0, -1);
    }
  });

  it("keeps an open fence in one block", () => {
    expect(splitBlocks("```\na\n\nb\n\n~~~\n\nc")).toHaveLength(1);
  });

  it("closes a fence only with marks of its kind, as many, not indented as code", () => {
    expect(splitBlocks("````\n```\n\n    ````\n\n````\n\nafter")).toEqual([
      "````\n```\n\n    ````\n\n````\n\n",
      "after",
    ]);
  });

  it("ends a quoted fence with the quote", () => {
    expect(splitBlocks("> ```\n> code\n\nafter\n\nmore")).toHaveLength(3);
  });

  it("takes inline code of three marks for no fence", () => {
    expect(splitBlocks("```inline``` code\n\nnext")).toHaveLength(2);
  });

  it("stays whole where a definition reaches across blocks", () => {
    const text = "See [docs][1].\n\nMore.\n\n[1]: https://example.org";
    expect(splitBlocks(text)).toEqual([text]);
  });

  it("gives nothing for nothing", () => {
    expect(splitBlocks("")).toEqual([]);
  });
});
