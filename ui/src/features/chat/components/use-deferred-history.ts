import { startTransition, useEffect, useState } from "react";

import type { Message } from "@/api/types";

/** Characters that are rendered at a time: about a screenful. */
const portion = 3000;

/**
 * The index of the first message to render: the end of a chat at first, then earlier messages little by
 * little, so that a long chat opens as fast as a short one.
 */
export function useDeferredHistory(branch: readonly Message[], targetId: string | null): number {
  const [from, setFrom] = useState(() => startOfPortion(branch, branch.length));
  const target = targetId === null ? -1 : branch.findIndex(({ id }) => id === targetId);
  const start = target < 0 ? from : Math.min(from, target);

  useEffect(() => {
    if (from === 0) return;
    const timer = setTimeout(() => {
      startTransition(() => {
        setFrom(startOfPortion(branch, from));
      });
    }, 0);
    return () => {
      clearTimeout(timer);
    };
  }, [branch, from]);

  return start;
}

/** Where the portion that ends before `end` begins; it has at least one message. */
function startOfPortion(branch: readonly Message[], end: number): number {
  let start = Math.max(0, Math.min(end, branch.length) - 1);
  let letters = textLength(branch, start, end);
  while (start > 0 && letters < portion) {
    start -= 1;
    letters += textLength(branch, start, start + 1);
  }
  return start;
}

function textLength(branch: readonly Message[], start: number, end: number): number {
  return branch.slice(start, end).reduce((sum, { content }) => sum + content.length, 0);
}
