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
  it("cuts at blank lines between blocks, and where another list begins", () => {
    expect(splitBlocks(mixed).map((block) => block.trimEnd().split("\n")[0])).toEqual([
      "# Title",
      "A paragraph",
      "- one",
      "1. first",
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

  it.each([
    ["blocks of all kinds", mixed],
    ["lists without blank lines", "Tips:\n- one\n* * *\n* two\n1. three\n   - in\n10. ten\n   - out\n11. x"],
  ])("keeps all but the last block as the text grows: %s", (_, whole) => {
    let settled: string[] = [];
    for (let end = 1; end <= whole.length; end += 1) {
      const blocks = splitBlocks(whole.slice(0, end));
      expect(blocks.slice(0, settled.length)).toEqual(settled);
      settled = blocks.slice(0, -1);
    }
  });

  it("cuts where a list begins right below other text, or another one below its items", () => {
    expect(splitBlocks("Tips:\n- one\n- two\n1. three\n2. four")).toEqual([
      "Tips:\n",
      "- one\n- two\n",
      "1. three\n2. four",
    ]);
    expect(splitBlocks("9. nine\n   - in it\n10. ten\n   - not in it\n11. eleven")).toEqual([
      "9. nine\n   - in it\n10. ten\n",
      "   - not in it\n",
      "11. eleven",
    ]);
  });

  it.each([
    ["a number that is no item", "The year was\n1984. It rained."],
    ["a line across the page", "One\n- - -"],
    ["raw HTML", "<ul>\n- one\n</ul>"],
    ["code", "```\n- one\n```"],
    ["inner items", "- one\n  1. two\n    - three"],
    ["a mark alone", "- one\n*"],
  ])("does not take for a list of its own: %s", (_, text) => {
    expect(splitBlocks(text)).toEqual([text]);
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
