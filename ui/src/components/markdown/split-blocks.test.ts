import { describe, expect, it } from "vitest";

import { definitionsByName, definitionsFor, splitBlocks } from "@/components/markdown/split-blocks";

const blocksOf = (text: string) => splitBlocks(text).blocks;

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
    expect(blocksOf(mixed).map((block) => block.trimEnd().split("\n")[0])).toEqual([
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
      expect(blocksOf(text).join("")).toBe(text);
    }
  });

  it.each([
    ["blocks of all kinds", mixed],
    [
      "details",
      "One\n<details>\n<summary>A</summary>\n\nB\n\n- c\n\n<details>x</details>\n\n```\n</details>\n```\n</details>\nTwo\n\n<details>y</details>\n- z",
    ],
    ["lists without blank lines", "Tips:\n- one\n* * *\n* two\n1. three\n   - in\n10. ten\n   - out\n11. x"],
  ])("keeps all but the last block as the text grows: %s", (_, whole) => {
    let settled: string[] = [];
    for (let end = 1; end <= whole.length; end += 1) {
      const blocks = blocksOf(whole.slice(0, end));
      expect(blocks.slice(0, settled.length)).toEqual(settled);
      settled = blocks.slice(0, -1);
    }
  });

  it("cuts where a list begins right below other text, or another one below its items", () => {
    expect(blocksOf("Tips:\n- one\n- two\n1. three\n2. four")).toEqual([
      "Tips:\n",
      "- one\n- two\n",
      "1. three\n2. four",
    ]);
    expect(blocksOf("9. nine\n   - in it\n10. ten\n   - not in it\n11. eleven")).toEqual([
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
    expect(blocksOf(text)).toEqual([text]);
  });

  it("keeps details whole, with the blocks in them, and cuts right behind them", () => {
    const inner = "<details>\n\n- a\n\n<details>b</details>\n\n~~~\n</details>\n~~~\n\n</details>\n";
    expect(blocksOf(`One\n${inner}Two\n\n<details>c</details>\nThree`)).toEqual([
      "One\n",
      inner,
      "Two\n\n",
      "<details>c</details>\n",
      "Three",
    ]);
    expect(blocksOf("<details>\n\na\n\nb")).toHaveLength(1);
  });

  it("keeps an open fence in one block", () => {
    expect(blocksOf("```\na\n\nb\n\n~~~\n\nc")).toHaveLength(1);
  });

  it("closes a fence only with marks of its kind, as many, not indented as code", () => {
    expect(blocksOf("````\n```\n\n    ````\n\n````\n\nafter")).toEqual([
      "````\n```\n\n    ````\n\n````\n\n",
      "after",
    ]);
  });

  it("ends a quoted fence with the quote", () => {
    expect(blocksOf("> ```\n> code\n\nafter\n\nmore")).toHaveLength(3);
  });

  it("takes inline code of three marks for no fence", () => {
    expect(blocksOf("```inline``` code\n\nnext")).toHaveLength(2);
  });

  it("tells where links by name lead to, and cuts as ever", () => {
    const text = "See [docs][1].\n\n[1]: https://example.org\n[2]: /here 'Title'\n\nMore.";
    expect(splitBlocks(text)).toEqual({
      blocks: ["See [docs][1].\n\n", "[1]: https://example.org\n[2]: /here 'Title'\n\n", "More."],
      definitions: "[1]: https://example.org\n[2]: /here 'Title'\n",
    });
  });

  it("gives a block what it names, and no more", () => {
    const definitions = definitionsByName("[A  b]: /1\n[c]: /2\n[d]: /3\n[c]: /4\n");
    expect(definitionsFor("To [a B] and [this][c], not d.", definitions)).toBe("[A  b]: /1\n\n[c]: /2");
    expect(definitionsFor("<b>[c]", definitions)).toBe("");
    expect(definitionsFor("plain", definitions)).toBe("");
  });

  it.each([
    ["in a paragraph", "See this\n[1]: https://example.org"],
    ["in code", "```\n[1]: https://example.org\n```"],
  ])("takes no definition from what is text: %s", (_, text) => {
    expect(splitBlocks(text)).toEqual({ blocks: [text], definitions: "" });
  });

  it("makes a block of each footnote, with the lines that belong to it", () => {
    const first = "[^1]: Says who?\nAnd why?\n\n    Nobody.\n\n";
    expect(splitBlocks(`So it is.[^1]\n${first}[^b]: That.\n[^c]: This.\n\nMore.`)).toEqual({
      blocks: ["So it is.[^1]\n", first, "[^b]: That.\n", "[^c]: This.\n\n", "More."],
      definitions: "",
    });
  });

  it("takes for no footnote what is code", () => {
    expect(blocksOf("```\n[^1]: no\n```")).toHaveLength(1);
  });

  it("gives nothing for nothing", () => {
    expect(blocksOf("")).toEqual([]);
  });
});
