import { render, screen, waitFor } from "@testing-library/react";
import type { ElementContent, Root } from "hast";
import ReactMarkdown, { type Options } from "react-markdown";
import remarkGfm from "remark-gfm";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { textLength } from "@/components/markdown/code/code-parts";
import { elements } from "@/components/markdown/elements";
import { Markdown } from "@/components/markdown/markdown";

const parsed: string[] = [];

vi.mock("react-markdown", async (original) => {
  const real = await original<typeof import("react-markdown")>();
  return {
    ...real,
    default: (options: Options) => {
      parsed.push(options.children ?? "");
      return real.default(options);
    },
  };
});

const coloured = vi.fn<() => void>();

vi.mock("react/jsx-dev-runtime", async (original) => {
  const real = await original<typeof import("react/jsx-dev-runtime")>();
  return {
    ...real,
    jsxDEV: (...all: Parameters<typeof real.jsxDEV>) => {
      if (all[0] === "span" && String((all[1] as { className?: string }).className).startsWith("hljs")) coloured();
      return real.jsxDEV(...all);
    },
  };
});

const line = (number: number) =>
  `with **bold** words, \`code\` and a [link](https://example.org/${number}) to read`;
const forty = Array.from({ length: 40 }, (_, number) => number);
const blocks = {
  "a list": forty.map((n) => `- item ${n} ${line(n)}`).join("\n"),
  "a numbered list that stands apart": forty.map((n) => `${n + 5}. item ${n}\n\n    ${line(n)}`).join("\n\n"),
  "a list in a list": forty.map((n) => `- item ${n}\n  - ${line(n)}\n  - inner`).join("\n"),
  "a list of tasks": forty.map((n) => `- [${n % 2 ? "x" : " "}] ${line(n)}`).join("\n"),
  "a table": `| a | b |\n| :-- | --: |\n${forty.map((n) => `| ${n} | ${line(n)} |`).join("\n")}`,
  "a paragraph": forty.map(line).join(" "),
  "a paragraph of many lines": forty.map(line).join("\n"),
  "a quote": forty.map((n) => `> ${line(n)}`).join("\n"),
  "a quote of many things": forty
    .map((n) => `> - item ${n}\n>\n> ${line(n)}\n>\n> \`\`\`\n> x = ${n}\n>\n> \`\`\`\n>\n> > ${line(n)}`)
    .join("\n>\n"),
};
const codes = {
  "code": "```klingon\nqapla'\n\n    <b>\n\n```",
  "code that has not ended": "```\none\n\n",
  "code of nothing but a line": "~~~\n\n~~~",
  "no code": "```\n```",
};
const named = [
  "See [docs], and [more][1], and [none].",
  "- an [item][docs]\n- two",
  "| a |\n| - |\n| [docs] |",
  "> quoted [docs]\n>\n> - in [it][1]",
  "[docs]: https://example.org/docs\n[1]: https://example.org/1 'One'",
  "After [docs].\n[none]: https://example.org/none",
  "```\n[docs]\n```",
  `${line(1).repeat(12)} [docs] ${line(2)}`,
];
const code = forty.map((n) => `def course_${n}(of: Ship) -> float:\n    """Where\n    it went."""\n    return of.heading + ${n}\n`).join("\n");

const painted: number[] = [];

vi.mock("@/components/markdown/code/highlighter", async (original) => {
  const { highlighter } = await original<typeof import("@/components/markdown/code/highlighter")>();
  return {
    highlighter: (tree: Root) => {
      painted.push(textLength(tree.children as ElementContent[]));
      highlighter(tree);
    },
  };
});

beforeEach(() => {
  parsed.length = 0;
  painted.length = 0;
});

async function show(text: string) {
  const view = render(<Markdown growing text={text} />);
  await waitFor(() => {
    expect(view.container.querySelector(".whitespace-pre-wrap.markdown")).toBeNull();
  });
  return view;
}

/** What is on the page, without what nobody sees. */
function essence(html: string): string {
  return html
    .replace(/\n/g, "")
    .replaceAll("</tbody><tbody>", "")
    .replace(/ class="(?:contains-task-list|task-list-item)"/g, "");
}

describe("a block that is too long to be rendered for each word", () => {
  it.each(Object.entries({ ...blocks, ...codes, "links by name": named.join("\n\n") }))("looks as if it were rendered in one: %s", async (_, text) => {
    const { container } = await show(text);
    const whole = render(
      <ReactMarkdown remarkPlugins={[remarkGfm]} components={elements}>
        {text}
      </ReactMarkdown>,
    );
    expect(essence(container.querySelector(".markdown")?.innerHTML ?? "")).toBe(
      essence(whole.container.innerHTML),
    );
  });

  it.each(Object.entries(blocks))("has only its end parsed again: %s", async (_, text) => {
    const half = text.slice(0, text.length - 400);
    const { rerender } = await show(half);
    const all = parsed.length;
    expect(all).toBeGreaterThan(3);
    parsed.length = 0;
    for (let end = half.length; end <= text.length; end += 8) {
      rerender(<Markdown growing text={text.slice(0, end)} />);
    }
    expect(parsed.length).toBeGreaterThan(0);
    // A step parses one piece, or two where one ends; none of them is long.
    expect(parsed.length).toBeLessThan(2 * 52);
    expect(Math.max(...parsed.map(({ length }) => length))).toBeLessThan(1000);
  });

  it("puts footnotes below, and parses only what they change", async () => {
    const start = `${forty.map((n) => `${line(n)}${n % 20 ? "" : `[^n${n}] of [docs]`}`).join("\n\n")}\n\n`;
    const { container, rerender } = await show(start);
    expect(container.textContent).toContain("to read[^n20] of [docs]");
    parsed.length = 0;
    rerender(<Markdown growing text={`${start}[^n20]: Of [docs].\n`} />);
    rerender(<Markdown growing text={`${start}[^n20]: Of [docs].\n[^N0]: More\n\n    > and more\n\n`} />);
    rerender(<Markdown text={`${start}[^n20]: Of [docs].\n[^N0]: More\n\n    > and more\n\n[docs]: /docs`} />);
    const numbers = [...container.querySelectorAll("p sup")].map((sup) => [sup.textContent, sup.parentElement?.textContent]);
    expect(numbers.map(([number]) => number)).toEqual(["2", "1"]);
    expect(numbers[0]?.[1]).toMatch(/^with bold words.*to read2 of docs$/);
    const notes = screen.getByRole("list", { name: "Footnotes" });
    expect([...notes.children].map((note) => essence(note.innerHTML))).toEqual([
      "<p>Of <span>docs</span>.</p>",
      "<p>More</p><blockquote><p>and more</p></blockquote>",
    ]);
    expect(container.textContent).not.toContain("[^");
    // Two paragraphs that refer to a note, and the notes.
    expect(parsed.length).toBeLessThan(10);
  });

  it("touches only the end of code that grows, text of many lines in it too", async () => {
    const start = `\`\`\`python\n${code}`;
    const { container, rerender } = await show(start);
    await waitFor(() => {
      expect(container.querySelector(".hljs-keyword")).not.toBeNull();
    });
    const parts = [...container.querySelectorAll("pre code > *")];
    const touched: Node[] = [];
    const observer = new MutationObserver((records) => {
      touched.push(...records.map(({ target }) => target));
    });
    observer.observe(container, { childList: true, subtree: true, characterData: true });
    const all = container.querySelectorAll("pre span").length;
    coloured.mockClear();
    rerender(<Markdown growing text={`${start}\nlast = "word"`} />);
    await screen.findByText('"word"');
    observer.disconnect();
    expect(container.querySelector("pre")?.textContent).toBe(`${code}\nlast = "word"\n`);
    const settled = parts.slice(0, -20);
    expect(settled.length).toBeGreaterThan(100);
    // Nor is more of it rendered: what a part takes, of the many that there are.
    expect(coloured.mock.calls.length).toBeGreaterThan(0);
    expect(coloured.mock.calls.length).toBeLessThan(all / 3);
    expect(touched.filter((node) => settled.some((part) => part.contains(node)))).toEqual([]);
  });

  it.each([
    { size: "some code, and at last the whole", times: 3, whole: true },
    { size: "long code", times: 4, whole: false },
  ])("has only its end coloured again: $size", async ({ times, whole }) => {
    const text = `\`\`\`python\n${code.repeat(times)}`;
    const { container, rerender } = await show(text.slice(0, 40));
    await waitFor(() => {
      expect(container.querySelector(".hljs-keyword")).not.toBeNull();
    });
    painted.length = 0;
    for (let end = 60; end <= text.length; end += 60) {
      rerender(<Markdown growing text={text.slice(0, end)} />);
    }
    expect(painted.length).toBeGreaterThan(100);
    expect(Math.max(...painted)).toBeLessThan(3000);
    const lines = [...container.querySelectorAll("pre code > *")];
    painted.length = 0;
    rerender(<Markdown text={`${text}\`\`\``} />);
    expect(painted.length).toBeGreaterThan(0);
    if (whole) expect(painted.at(-1)).toBe(code.length * times);
    else expect(Math.max(...painted)).toBeLessThan(3000);
    const inOne = await show(`${text}\`\`\``);
    expect(container.innerHTML).toBe(inOne.container.innerHTML);
    // What was on the page has stayed there.
    expect([...container.querySelectorAll("pre code > *")].slice(0, lines.length)).toEqual(lines);
  });
});
