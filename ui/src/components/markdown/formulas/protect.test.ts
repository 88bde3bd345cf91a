import { describe, expect, it } from "vitest";

import { protect, Protector, restore, splitProtected } from "@/components/markdown/formulas/protect";

function formulas(text: string, growing = false): string[] {
  return splitProtected(protect(text, growing)).flatMap((part) =>
    part.kind === "formula" ? [part.display ? `[${part.tex}]` : part.tex] : [],
  );
}

const mixed = `The area is \\(\\pi r^2\\), or $\\pi r^2$ for $5 and $10.

$$
a_1
+ b
= *c*
$$

> \\[
> x < y
> \\]

- H<sub>2</sub>O, \`$code$\`, \\$7
- 1. and $n$th

\`\`\`sh
echo $HOME $$ \\(x\\)
\`\`\`

| a | $|x|$ |
| - | - |
| <kbd>Ctrl</kbd><br>x | $$y$$ |

An end: \\[ \\frac{a}{b`;

describe("protect", () => {
  it("finds formulas between all four delimiters, and prices nowhere", () => {
    expect(formulas(mixed)).toEqual([
      "\\pi r^2",
      "\\pi r^2",
      "[\na_1\n+ b\n= *c*\n]",
      "[\nx < y\n]",
      "n",
      "|x|",
      "[y]",
      "[ \\frac{a}{b]",
    ]);
  });

  it("loses no character, wherever the text ends", () => {
    for (let end = 0; end <= mixed.length; end += 1) {
      const text = mixed.slice(0, end);
      expect(restore(protect(text, false))).toBe(text);
    }
  });

  it("reads a growing text from its last paragraph on, with the same result", () => {
    const protector = new Protector();
    for (let end = 0; end <= mixed.length; end += 1) {
      const text = mixed.slice(0, end);
      expect(protector.protect(text, true)).toBe(protect(text, true));
    }
    expect(protector.protect(mixed, false)).toBe(protect(mixed, false));
    expect(protector.protect("$x$", true)).toBe(protect("$x$", true));
  });

  it.each(["\\[ ", "\\(x ", "$x ", "$$x ", "`x ``y ", "<sub>", "$$ $ ", "\\( \n- x "])(
    "reads what nothing closes once: %j",
    (mark) => {
      // Searched anew for each mark, these would take minutes.
      for (const growing of [true, false]) {
        expect(restore(protect(mark.repeat(20_000), growing)).length).toBeGreaterThan(20_000);
      }
    },
  );

  it.each([
    "It costs $5 and $10.",
    "From $5-$10, or **$100**–**$200**.",
    "Between $5 and 10$ each",
    "$1,000.50 (or $2,000) a year; US$5, A$7",
    "$5 | $10",
    "- $5\n- 6$",
    "Set $HOME and $PATH, '$foo' and \"$bar\".",
    "$HOME/bin:$PATH",
    "Restaurants: $$ to $$$, and $$ or more $$ of these places",
    "\\$x\\$ and \\\\(x\\\\)",
    "`$x$` and ``\\(x`\\)``",
    "```\n$x$\n```",
    "- ~~~\n  $$x$$\n  ~~~",
    "A $ and a $ alone",
    "$x\n\ny$",
    "\\[1\\] Smith, \\[a link\\](https://example.org)",
    "\\[ and nothing\n\nelse",
  ])("takes for no formula: %j", (text) => {
    expect(formulas(text)).toEqual([]);
    expect(formulas(text, true)).toEqual([]);
  });

  it.each([
    ["$x$, $y$-axis, $n$th and ($z$)", ["x", "y", "n", "z"]],
    ["$2x + 1 = 5$ and $5$", ["2x + 1 = 5", "5"]],
    ["$f(x)$ of $a, b \\in \\mathbb{R}$ costs $5", ["f(x)", "a, b \\in \\mathbb{R}"]],
    ["$\\$5$", ["\\$5"]],
    ["**Area:** $A$ and *$B$*", ["A", "B"]],
    ["\\( a \\) \\[ b \\]", [" a ", "[ b ]"]],
    ["$$E=mc^2$$ in a line", ["[E=mc^2]"]],
    ["$a +\n1$", ["a +\n1"]],
  ])("finds in %j", (text, found) => {
    expect(formulas(text)).toEqual(found);
  });

  it.each([
    ["So $x^", ["x^"]],
    ["It costs $5 and $x^", ["x^"]],
    ["So $x", ["x"]],
    ["So \\(\\frac{1}{2", ["\\frac{1}{2"]],
    ["So \\(a + b\\", ["a + b"]],
    ["So $$a = b$", ["[a = b]"]],
    ["So\n\\[\n\\begin{aligned}\n", ["[\n\\begin{aligned}\n]"]],
    ["It costs $5", []],
    ["It costs $", []],
    ["Say $hello wor", []],
    ["Code `$x", []],
  ])("takes what is still open for a formula while the text grows: %j", (text, found) => {
    expect(formulas(text, true)).toEqual(found);
  });

  it("keeps one that a stopped reply left open, if it can be nothing else", () => {
    expect(formulas("So \\[ \\frac{a}{b", false)).toEqual(["[ \\frac{a}{b]"]);
    expect(formulas("So \\(see", false)).toEqual([]);
    expect(formulas("So $x^2", false)).toEqual([]);
  });

  it("survives text that has its own marks in it", () => {
    const text = "§\uFDD0a\uFDD3\u0000\uFDD2§ $x$";
    expect(formulas(text)).toEqual(["x"]);
  });
});
