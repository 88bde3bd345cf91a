import { createContext, use, useLayoutEffect, useRef } from "react";

import { useRenderer } from "@/components/markdown/formulas/use-renderer";

/** Set around a text that still grows: its last formula may be incomplete. */
export const Growing = createContext(false);

interface FormulaProps {
  tex: string;
  display: boolean;
  /** As it was written: shown if it can't be drawn. */
  source: string;
}

/** A formula. While it grows, it stays as it was until it can be drawn again. */
export function Formula({ tex, display, source }: FormulaProps) {
  const draw = useRenderer();
  const growing = use(Growing);
  const host = useRef<HTMLSpanElement>(null);
  const drawn = useRef(false);

  useLayoutEffect(() => {
    const element = host.current;
    if (!element) return;
    if (draw?.(tex, display, element, growing)) drawn.current = true;
    else if (!growing || !drawn.current) {
      drawn.current = false;
      element.textContent = source;
    }
    element.dataset.source = source;
    element.className = drawn.current ? "formula" : "formula-source";
    // What can be scrolled must be reached by keyboard.
    const box = display ? element.querySelector<HTMLElement>(".katex-display") : null;
    if (box && box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }, [draw, tex, display, source, growing]);

  return <span ref={host} dir="ltr" className="formula-source" />;
}
