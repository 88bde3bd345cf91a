import { startTransition, useEffect, useState } from "react";

import type { Highlighter } from "@/components/markdown/code/highlighter";

let loaded: Highlighter | null = null;

/** The highlighter, loaded when the first code appears. */
export function useHighlighter(needed: boolean): Highlighter | null {
  const [highlighter, setHighlighter] = useState(() => loaded);

  useEffect(() => {
    if (!needed || highlighter) return;
    let gone = false;
    import("@/components/markdown/code/highlighter").then(
      (module) => {
        loaded = module.highlighter;
        if (gone) return;
        // There may be much to highlight: as a transition, it does not block input.
        startTransition(() => {
          setHighlighter(() => loaded);
        });
      },
      // Without it, code stays plain.
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, [needed, highlighter]);

  return highlighter;
}
