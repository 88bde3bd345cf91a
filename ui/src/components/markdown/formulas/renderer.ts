import katex, { type KatexOptions } from "katex";

import { completions } from "@/components/markdown/formulas/complete";
import { copyFormulas } from "@/components/markdown/formulas/copy";

import "katex/dist/katex.min.css";

/** Draws a formula into an element; false if it can't be drawn, and nothing is changed then. */
export type FormulaRenderer = (
  tex: string,
  display: boolean,
  element: HTMLElement,
  growing: boolean,
) => boolean;

document.addEventListener("copy", copyFormulas);

const longest = 10_000;

const options: KatexOptions = {
  throwOnError: true,
  strict: "ignore",
  maxSize: 20,
  // These write style attributes, which the page's content security policy forbids.
  macros: { "\\pmb": "\\boldsymbol{#1}", "\\fcolorbox": "{\\color{#1}}\\colorbox{#2}{#3}" },
};

export const drawFormula: FormulaRenderer = (tex, display, element, growing) => {
  if (tex.length > longest) return false;
  for (const one of growing ? completions(tex) : [tex]) {
    const drawn = document.createElement("span");
    try {
      // KaTeX changes the macros that it is given.
      katex.render(one, drawn, { ...options, macros: { ...options.macros }, displayMode: display });
    } catch {
      continue;
    }
    element.replaceChildren(...drawn.childNodes);
    return true;
  }
  return false;
};
