import { render, waitFor } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";

import { Markdown } from "@/components/markdown/markdown";
import { axeViolations } from "@/testing/axe";

async function show(text: string, growing = false) {
  const view = render(<Markdown text={text} growing={growing} />);
  await waitFor(() => {
    expect(view.container.querySelector(".whitespace-pre-wrap.markdown")).toBeNull();
  });
  return view;
}

async function drawn(text: string, growing = false) {
  const view = await show(text, growing);
  await waitFor(() => {
    expect(view.container.querySelector(".katex")).not.toBeNull();
  });
  return view;
}

function sources(container: HTMLElement): (string | null)[] {
  return [...container.querySelectorAll("annotation")].map((one) => one.textContent);
}

describe("a formula", () => {
  it.each([
    ["in a paragraph", "So \\(a_1 * b_1\\) and $c_1 * d_1$.", ["a_1 * b_1", "c_1 * d_1"], "p"],
    ["in a list", "- one $x_1$\n- two\n  \\[\n  y\n  + 1\n  \\]", ["x_1", "\n  y\n  + 1\n  "], "li"],
    ["in a table", "| a |\n| - |\n| $|x|$ |", ["|x|"], "td"],
    ["in a quote", "> \\[\n> x\n> \\]", ["\nx\n"], "blockquote"],
    ["in a heading", "## On $e^x$", ["e^x"], "h2"],
    ["in a link", "[the $e^x$](https://example.org)", ["e^x"], "a"],
    ["in details", "<details>\n<summary>$s$</summary>\n\n$$t$$\n</details>", ["s", "t"], "details"],
    ["in bold text", "**so $x$:** $y$", ["x", "y"], "p"],
  ])("is drawn %s", async (_, text, expected, place) => {
    const { container } = await drawn(text);
    expect(sources(container)).toEqual(expected);
    expect(container.querySelector(`${place} .katex`)).not.toBeNull();
    expect(container.querySelector("em")).toBeNull();
  });

  it("is left alone in code, and in addresses", async () => {
    const { container } = await drawn(
      "$x$ `$a$ \\(b\\)` [l](https://e.org/$a$b)\n\n    $c_1$\n\n```tex\n\\[d\\] <br>\n```\n\n- ```\n  $e$\n  ```",
    );
    expect(sources(container)).toEqual(["x"]);
    expect([...container.querySelectorAll("code")].map((code) => code.textContent.trim())).toEqual([
      "$a$ \\(b\\)",
      "$c_1$",
      "\\[d\\] <br>",
      "$e$",
    ]);
    expect(container.querySelector("a")?.href).toBe("https://e.org/$a$b");
  });

  it("is shown as it was written if it can't be drawn", async () => {
    const { container } = await drawn("$x$ and \\(\\nosuchthing{y}\\) and \\(\\href{javascript:a()}{z}\\)");
    expect(container.querySelector("p")?.textContent).toContain("\\(\\nosuchthing{y}\\)");
    expect(container.querySelector("a")).toBeNull();
  });

  it("never disappears while it grows, nor shows its marks once it was drawn", async () => {
    const text = "So\n\\[\n\\begin{aligned}\nf(x) &= \\frac{a_1}{\\sqrt{b}} \\\\\n+ y &= \\left( z \\right)\n\\end{aligned}\n\\]\nend";
    const { container, rerender } = await drawn("So\n\\[\n\\begin{aligned}\nf", true);
    for (let end = 27; end <= text.length; end += 1) {
      rerender(<Markdown growing text={text.slice(0, end)} />);
      expect(container.querySelectorAll(".katex-display"), text.slice(0, end)).toHaveLength(1);
      expect(container.querySelector(".formula-source")).toBeNull();
    }
    rerender(<Markdown text={text} />);
    expect(sources(container)).toEqual([text.slice(5, -6)]);
    const whole = await drawn(text);
    expect(container.innerHTML).toBe(whole.container.innerHTML);
  });

  it("writes no style attributes, which the page's policy forbids", async () => {
    const written = vi.spyOn(Element.prototype, "setAttribute");
    await drawn("$\\pmb{x} \\fcolorbox{red}{blue}{y} \\color{red} \\underbrace{z}_{1} \\sqrt[3]{x}$");
    const names = written.mock.calls.map(([name]) => name);
    expect(names).toContain("class");
    expect(names).not.toContain("style");
  });

  it("survives what is long, deep or endless", async () => {
    const { container } = await drawn(
      `$x$\n\n$$${"{".repeat(5000)}x${"}".repeat(5000)}$$\n\n$$\\def\\a{\\a\\a}\\a$$\n\n$$${"x".repeat(20_000)}$$`,
    );
    expect(container.querySelectorAll(".formula-source").length).toBe(3);
  });

  it("has nothing that axe minds", async () => {
    const { container } = await drawn("# On $x$\n\n\\[ \\frac{a}{b} \\]\n\n<details>\n<summary>More</summary>\n\n$y$\n</details>");
    container.role = "main";
    expect(await axeViolations()).toEqual([]);
  });
});

describe("HTML", () => {
  it("is shown for five tags without attributes", async () => {
    const { container } = await show(
      "H<sub>2</sub>O, x<sup>*n*</sup>,<BR/>**a:**<br>press <kbd>Ctrl</kbd>\n\n<br>\ntext\n\n| a |\n| - |\n| 1<br>2 |",
    );
    expect(container.querySelector("sub")?.textContent).toBe("2");
    expect(container.querySelector("sup em")?.textContent).toBe("n");
    expect(container.querySelector("kbd")?.textContent).toBe("Ctrl");
    expect(container.querySelectorAll("br")).toHaveLength(4);
    expect(container.querySelector("td br")).not.toBeNull();
    expect(container.querySelector("strong")?.textContent).toBe("a:");
    expect(container.textContent).not.toContain("<");
  });

  it.each([
    "<sub onclick=x()>2</sub>",
    "<sub class='a'>2",
    "a </sub> b",
    "<b>x</b> <u>y</u> <mark>z</mark>",
    "<details ontoggle=x()>y</details>",
    "<summary>x</summary>",
    "`<br>`",
  ])("is text otherwise: %s", async (text) => {
    const { container } = await show(text);
    expect(container.querySelector("sub, b, u, mark, details, summary, br, [onclick]")).toBeNull();
    expect(container.textContent).toBe(text.replaceAll("`", ""));
  });

  it("closes a tag that is being written", async () => {
    const { container } = await show("H<sub>2", true);
    expect(container.querySelector("sub")?.textContent).toBe("2");
    expect(container.textContent).toBe("H2");
  });

  it("has details with Markdown in them, nested, closed and still open", async () => {
    const inner = "<details>\n<summary>In</summary>\n\n- a\n\n```\n</details>\n```\n\n</details>";
    const text = `Before\n<details>\n<summary>**Out**</summary>\n\nText\n\n${inner}\n\n# More\n</details>\nAfter\n\n<details open>\nOpen`;
    const { container } = await show(text);
    const all = [...container.querySelectorAll("details")];
    expect(all.map((one) => [one.querySelector("summary")?.textContent, one.open])).toEqual([
      ["Out", false],
      ["In", false],
      ["Details", true],
    ]);
    expect(container.querySelector("details summary strong")).not.toBeNull();
    expect(all[1]?.querySelector("pre")?.textContent).toBe("</details>\n");
    expect([...container.querySelectorAll(".markdown > p")].map((p) => p.textContent)).toEqual([
      "Before",
      "After",
    ]);
    expect(container.querySelector("details h2")?.textContent).toBe("More");
  });
});
