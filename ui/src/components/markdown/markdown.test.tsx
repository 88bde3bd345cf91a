import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it } from "vitest";

import { Markdown } from "@/components/markdown/markdown";
import { axeViolations } from "@/testing/axe";

async function show(text: string, growing = false) {
  const view = render(<Markdown text={text} growing={growing} />);
  // The renderer comes in its own chunk.
  await waitFor(() => {
    expect(view.container.querySelector(".whitespace-pre-wrap.markdown")).toBeNull();
  });
  return view;
}

describe("Markdown", () => {
  it("shows raw HTML as text and makes nothing of it", async () => {
    const attack = '<img src=x onerror="alert(1)">';
    const { container } = await show(
      `${attack}\n\nInline <b onclick="x()">bold</b>\n\n<script>\nalert(2)\n</script>`,
    );
    expect(container.textContent).toContain(attack);
    expect(container.textContent).toContain('<b onclick="x()">bold</b>');
    expect(container.textContent).toContain("alert(2)");
    expect(container.querySelector("img, b, script, [onclick]")).toBeNull();
  });

  it("links only to http, https and mailto, in a new tab that cannot reach back", async () => {
    await show(
      [
        "[web](https://example.org)",
        "[plain](http://example.org)",
        "[post](mailto:a@example.org)",
        "[js](javascript:alert(1))",
        "[JS](JaVaScRiPt:alert(1))",
        "[data](data:text/html,x)",
        "[file](file:///etc/passwd)",
        "[relative](/api/sessions)",
        "[hash](#/s/1)",
      ].join("\n\n"),
    );
    const links = screen.getAllByRole("link");
    expect(links.map((link) => link.textContent)).toEqual(["web", "plain", "post"]);
    for (const link of links) {
      expect(link).toHaveProperty("target", "_blank");
      expect(link).toHaveProperty("rel", "noopener noreferrer");
    }
    expect(screen.getByText("js")).toBeTruthy();
  });

  it("fetches no image, and offers to open it", async () => {
    const { container } = await show(
      "![A chart](https://example.org/c.png) and ![inline](data:image/png;base64,AAAA)",
    );
    expect(container.querySelector("img")).toBeNull();
    const link = screen.getByRole("link", { name: "Open image: A chart (example.org)" });
    expect(link).toHaveProperty("href", "https://example.org/c.png");
    expect(screen.getAllByRole("link")).toHaveLength(1);
  });

  it("colours code by its language, and copies what was written", async () => {
    const user = userEvent.setup();
    const code = "def f(x):\n    return x < 1 && x";
    await show(`\`\`\`python\n${code}\n\`\`\``);
    const block = screen.getByRole("figure", { name: "Code, python" });
    expect(within(block).getByText("python")).toBeTruthy();
    await waitFor(() => {
      expect(block.querySelector(".hljs-keyword")?.textContent).toBe("def");
    });
    await user.click(within(block).getByRole("button", { name: "Copy code" }));
    expect(await navigator.clipboard.readText()).toBe(code);
    expect(await within(block).findByRole("button", { name: "Copied" })).toBeTruthy();
  });

  it("shows code of an unknown language as it is", async () => {
    await show("```klingon\nqapla' <b>\n```");
    expect(screen.getByRole("figure", { name: "Code, klingon" }).textContent).toContain(
      "qapla' <b>",
    );
  });

  it("renders tables, task lists and strikethrough", async () => {
    await show("| a | b |\n| - | - |\n| 1 | 2 |\n\n- [x] done\n- [ ] open\n\n~~gone~~");
    expect(screen.getByRole("table")).toBeTruthy();
    expect(screen.getByRole("img", { name: "Done" })).toBeTruthy();
    expect(screen.getByRole("img", { name: "To do" })).toBeTruthy();
    expect(screen.getByText("gone").tagName).toBe("DEL");
  });

  it("leaves settled blocks untouched while the last one grows", async () => {
    const start = "# Title\n\nSettled **words**.\n\n```python\nx = 1\n```\n\nThe last";
    const { container, rerender } = await show(start, true);
    await waitFor(() => {
      expect(container.querySelector(".hljs-number")).not.toBeNull();
    });
    const touched: Node[] = [];
    const observer = new MutationObserver((records) => {
      touched.push(...records.map(({ target }) => target));
    });
    observer.observe(container, { childList: true, subtree: true, characterData: true });
    const settled = [...container.querySelectorAll("h2, p, figure")].slice(0, 3);
    rerender(<Markdown growing text={`${start} block grows\n\nand another begins`} />);
    await screen.findByText("and another begins");
    observer.disconnect();
    expect(touched.length).toBeGreaterThan(0);
    expect(touched.filter((node) => settled.some((block) => block.contains(node)))).toEqual([]);
  });

  it("shows no bare marks while a word is still being made bold", async () => {
    const { container, rerender } = await show("This is **impor", true);
    expect(container.textContent).toBe("This is impor");
    expect(screen.getByText("impor").tagName).toBe("STRONG");
    rerender(<Markdown text="2 ** 3 is **eight" />);
    expect(container.textContent).toBe("2 ** 3 is **eight");
  });

  it.each([">", "> ", "- ", "1. "])("shows as it is what is nested beyond reason: %j", async (mark) => {
    const text = `${mark.repeat(3000)}x`;
    const { container } = await show(`Before\n\n${text}\n\nAfter`, true);
    expect([...container.querySelectorAll("p")].map((p) => p.textContent)).toEqual(["Before", text, "After"]);
  });

  it("has nothing that axe minds", async () => {
    const { container } = await show("### Deep heading\n\n```js\nlet a;\n```\n\n| a |\n| - |\n| 1 |\n\n- [x] done\n\n> quote");
    container.role = "main";
    expect(await axeViolations()).toEqual([]);
  });
});
