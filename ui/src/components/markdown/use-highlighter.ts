import type { Root } from "hast";
import { startTransition, useEffect, useState } from "react";

/** Colours the code in a tree. */
export type Highlighter = (tree: Root) => void;

let loaded: Highlighter | null = null;

/** The highlighter, fetched when the first code appears. */
export function useHighlighter(wanted: boolean): Highlighter | null {
  const [highlighter, setHighlighter] = useState(() => loaded);

  useEffect(() => {
    if (!wanted || highlighter) return;
    let gone = false;
    import("@/components/markdown/highlighter").then(
      (module) => {
        loaded = module.highlighter;
        if (gone) return;
        // There may be much to colour: between frames.
        startTransition(() => {
          setHighlighter(() => loaded);
        });
      },
      // Without it code is plain, which is still code.
      () => undefined,
    );
    return () => {
      gone = true;
    };
  }, [wanted, highlighter]);

  return highlighter;
}
