import { useSyncExternalStore } from "react";

import type { FormulaRenderer } from "@/components/markdown/formulas/renderer";

let loaded: FormulaRenderer | null = null;
let loading = false;
const waiting = new Set<() => void>();

function load() {
  loading = true;
  import("@/components/markdown/formulas/renderer").then(
    ({ drawFormula }) => {
      loaded = drawFormula;
      for (const listener of waiting) listener();
    },
    // Without it, formulas are shown as they are written; the next one tries again.
    () => {
      loading = false;
    },
  );
}

function subscribe(listener: () => void): () => void {
  waiting.add(listener);
  if (!loading) load();
  return () => {
    waiting.delete(listener);
  };
}

/** The renderer of formulas, loaded when the first one appears; null until then. */
export function useRenderer(): FormulaRenderer | null {
  return useSyncExternalStore(subscribe, () => loaded);
}
