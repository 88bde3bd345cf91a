import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import type { ElementContent } from "hast";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { linesOf } from "@/components/markdown/code/code-lines";
import { textOf } from "@/components/markdown/code/code-parts";
import { codeView } from "@/components/markdown/code/code-view";
import { Markdown } from "@/components/markdown/markdown";
import { axeViolations } from "@/testing/axe";

const python = 'def f(x):\n    """One\n    two"""\n    return x\n';
const saved = vi.fn<(name: string, text: string) => Promise<string | null>>();

async function show(text: string, growing = false) {
  const view = render(<Markdown text={text} growing={growing} />);
  await screen.findAllByRole("figure");
  return view;
}

async function choose(name: string) {
  const user = userEvent.setup();
  await user.click(screen.getByRole("button", { name: "More for this code" }));
  const item = screen.getByRole(/^(?:Wrap|Line)/.test(name) ? "menuitemcheckbox" : "menuitem", { name });
  const checked = item.getAttribute("aria-checked");
  await user.click(item);
  return checked;
}

beforeEach(() => {
  codeView.setState({ wrapped: false, numbered: false });
  saved.mockReset().mockResolvedValue(null);
  window.pywebview = { api: { save_file: saved } };
});

afterEach(() => {
  delete window.pywebview;
});

describe("a code block", () => {
  it("numbers its lines, all of its text in them, here and in the next chat", async () => {
    const { container } = await show(`\`\`\`python\n${python}\`\`\``);
    await waitFor(() => {
      expect(container.querySelector(".hljs-keyword")).not.toBeNull();
    });
    expect(await choose("Line numbers")).toBe("false");
    const lines = [...container.querySelectorAll(".line")].map((line) => line.textContent);
    expect(lines).toEqual(python.match(/.*\n/g));
    expect(container.querySelectorAll(".line .hljs-string")).toHaveLength(2);
    expect(container.querySelector("pre")?.textContent).toBe(python);
    expect(localStorage.getItem("code-numbered")).toBe("yes");
    expect(await choose("Line numbers")).toBe("true");
    expect(container.querySelector(".line")).toBeNull();
  });

  it("wraps long lines", async () => {
    await show("```\nx\n```");
    await choose("Wrap lines");
    expect(screen.getByRole("figure").dataset.wrapped).toBe("true");
  });

  it.each([
    ["python", "code.py"],
    ["C++", "code.cpp"],
    ["rust", "code.rs"],
    ["", "code.txt"],
    ["../../etc", "code.txt"],
  ])("is saved as a file of its language: %j", async (language, name) => {
    await show(`\`\`\`${language}\nx = "$1"\n\`\`\``);
    await choose("Download");
    await waitFor(() => {
      expect(saved).toHaveBeenCalledExactlyOnceWith(name, 'x = "$1"\n');
    });
  });

  it.each([
    ["mermaid", "graph LR", true],
    ["html", "<p>", true],
    ["svg", "<circle/>", true],
    ["xml", "<?xml version='1.0'?>\n<svg>", true],
    ["xml", "<note>", false],
    ["python", "<svg>", false],
  ])("offers a preview of what can be drawn: %s %s", async (language, code, offered) => {
    const { container, rerender } = await show(`\`\`\`${language}\n${code}`, true);
    const button = () => screen.queryByRole("button", { name: "Show the preview" });
    expect(button()).toBeNull();
    rerender(<Markdown text={`\`\`\`${language}\n${code}\n\`\`\``} />);
    expect(button() !== null).toBe(offered);
    expect(container.querySelector("iframe")).toBeNull();
    if (!offered) return;
    await userEvent.click(button() ?? container);
    const frame = container.querySelector("iframe");
    expect(frame?.getAttribute("sandbox")).toBe("allow-scripts");
    expect(frame?.getAttribute("src")).toBe("/preview");
    await userEvent.click(screen.getByRole("button", { name: "Show the code" }));
    expect(container.querySelector("iframe")).toBeNull();
  });

  it("has nothing that axe minds", async () => {
    codeView.setState({ wrapped: true, numbered: true });
    const { container } = await show(`\`\`\`html\n${python}\`\`\``);
    container.role = "main";
    expect(await axeViolations()).toEqual([]);
  });
});

it("lines of highlighted code have all of its text, whatever spans them", () => {
  const text = (value: string): ElementContent => ({ type: "text", value });
  const span = (...children: ElementContent[]): ElementContent => ({
    type: "element",
    tagName: "span",
    properties: { className: ["a"] },
    children,
  });
  const nodes = [text("a\n\nb"), span(text("c\nd"), span(text("\n"))), text("e"), span(text("f\n"))];
  expect(linesOf(nodes).map(textOf)).toEqual(["a\n", "\n", "bc\n", "d\n", "ef\n"]);
});

it("a table is copied as CSV", async () => {
  const user = userEvent.setup();
  render(<Markdown text={'| a, b | "c" |\n| - | -: |\n| $x^2$ | 1<br>2 |\n| **d** | -5 |'} />);
  const table = (await screen.findByRole("table")).closest("div")?.parentElement ?? document.body;
  await waitFor(() => {
    expect(table.querySelector("annotation")).not.toBeNull();
  });
  await user.click(within(table).getByRole("button", { name: "Copy as CSV" }));
  expect(await navigator.clipboard.readText()).toBe(
    '"a, b","""c"""\r\nx^2,"1\n2"\r\nd,-5\r\n',
  );
});
