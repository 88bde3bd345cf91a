import { describe, expect, it } from "vitest";

import { splitPieces, type ListPieces, type TablePieces } from "@/components/markdown/split-pieces";

const words = "words that fill an item of the list until it is long enough to be cut. ";

function list(text: string): ListPieces {
  const pieces = splitPieces(text);
  if (pieces?.kind !== "list") throw new Error(`No list: ${text}`);
  return pieces;
}

function table(text: string): TablePieces {
  const pieces = splitPieces(text);
  if (pieces?.kind !== "table") throw new Error(`No table: ${text}`);
  return pieces;
}

const items = Array.from({ length: 40 }, (_, i) => `${i + 3}. **Item ${i}** ${words}\n    - inner\n`);
const longList = items.join("");
const head = "| a | b |\n| --- | ---: |\n";
const rows = Array.from({ length: 80 }, (_, i) => `| row ${i} | ${"x".repeat(20)} |\n`);

describe("a list", () => {
  it("is cut between its items, and loses no letter", () => {
    const { ordered, start, items: pieces } = list(longList);
    expect([ordered, start]).toEqual([true, 3]);
    expect(pieces.length).toBeGreaterThan(3);
    expect(pieces.map(({ text }) => text).join("")).toBe(longList);
    for (const { text } of pieces) {
      expect(text).toMatch(/^\d+\. \*\*Item/);
      expect(text.length).toBeLessThan(800);
    }
  });

  it("keeps all but its last piece as it grows", () => {
    let settled: unknown[] = [];
    for (let end = 2; end <= longList.length; end += 1) {
      const { items: pieces } = list(longList.slice(0, end));
      expect(pieces.slice(0, settled.length)).toEqual(settled);
      settled = pieces.slice(0, -1);
    }
  });

  it("takes what is indented as far as its item's text for a part of the item", () => {
    const inner = `   - ${words}\n`.repeat(20);
    expect(list(`1. one\n${inner}2. two`).items).toHaveLength(2);
    expect(list(`- one\n\n  - ${words.repeat(12)}\n\n  more\n- two`).items).toHaveLength(2);
  });

  it("stands apart from its first blank line between items on", () => {
    const tight = `- ${words.repeat(9)}\n`;
    expect(list(`${tight}${tight}\n${tight}\n${tight}`).items.map(({ loose }) => loose)).toEqual([
      false,
      true,
      true,
      true,
    ]);
  });

  it.each([
    ["another list", "- one\n\n1. two"],
    ["text that is not indented", "- one\ntwo"],
    ["a line across the page", "- one\n- - -"],
    ["a line across the page, of stars", "* one\n* * *"],
    ["a heading", "- one\n# two"],
    ["code that is not indented", "1. one\n```\n2. two\n```"],
    ["a definition", "1. one\n   [1]: https://example.org"],
    ["no space after the mark", "-one"],
    ["emphasis", "**one** two"],
    ["a number", "2024 was long"],
  ])("is none, or read as a whole, with %s", (_, text) => {
    expect(splitPieces(text)?.kind).not.toBe("list");
  });

  it("does not come apart while a mark is written", () => {
    for (const mark of ["1", "12", "12.", "-", "*"]) {
      expect(list(`1. one\n${mark}`).items).toHaveLength(1);
      expect(list(`1. one\n\n${mark}`).items).toHaveLength(1);
    }
  });
});

describe("a table", () => {
  it("is cut between its rows, each piece with the head", () => {
    const { tables } = table(head + rows.join(""));
    expect(tables.length).toBeGreaterThan(3);
    expect(tables.map((one) => one.slice(head.length)).join("")).toBe(rows.join(""));
    for (const one of tables) expect(one.startsWith(head)).toBe(true);
  });

  it("is a table without rows", () => {
    expect(table(head).tables).toEqual([head]);
  });

  it.each([
    ["another number of columns", "| a | b |\n| --- |\n"],
    ["rows without a bar before them", `${head}a | b\n`],
    ["a list below", `${head}- one\n`],
    ["no line below its head", "| a | b |\n"],
    ["half a line below its head", "| a | b |\n| --"],
  ])("is read as a whole with %s", (_, text) => {
    expect(splitPieces(text)).toBeNull();
  });

  it("knows a bar that is no border", () => {
    expect(table("| a \\| b |\n| --- |\n| 1 |").tables).toHaveLength(1);
  });
});

describe("a quote", () => {
  it("is what stands behind its marks", () => {
    expect(splitPieces("> - one\n>\n>   two\n>three\n")).toEqual({
      kind: "quote",
      text: "- one\n\n  two\nthree\n",
    });
  });

  it.each([
    ["a line that belongs to it and has no mark", "> one\ntwo"],
    ["a tab behind a mark", "> one\n>\ttwo"],
  ])("is read as a whole with %s", (_, text) => {
    expect(splitPieces(text)).toBeNull();
  });
});

describe("code", () => {
  it.each([
    ["```py\nx = 1\n\n```\n\n", "x = 1\n\n", "py"],
    ["~~~\nx\n```\n~~", "x\n```\n~~\n", ""],
    ["````c++\n```\n`````", "```\n", "c++"],
    ["```\n```", "", ""],
  ])("is what stands in its fence: %j", (text, code, language) => {
    expect(splitPieces(text)).toEqual({ kind: "code", code, language });
  });

  it.each([
    ["text below it", "```\nx\n```\ntext"],
    ["more than a language", "```py title\nx\n```"],
    ["a fence that is indented", "  ```\n  x\n  ```"],
    ["half a fence", "```py"],
  ])("is read as a whole with %s", (_, text) => {
    expect(splitPieces(text)).toBeNull();
  });
});
