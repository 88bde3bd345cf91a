import { startTransition, useEffect, useState } from "react";

import type { Message } from "@/api/types";

/** Letters that are worked on at a time: about what a screen holds. */
const portion = 3000;

/**
 * From which message on a chat is shown: its end at once, and what stands before it little by
 * little, between frames. A long chat opens as fast as a short one.
 */
export function useOlderLater(branch: readonly Message[], targetId: string | null): number {
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

/** Where the portion that ends before `end` begins: a message at least. */
function startOfPortion(branch: readonly Message[], end: number): number {
  let start = Math.max(0, Math.min(end, branch.length) - 1);
  let letters = lettersOf(branch, start, end);
  while (start > 0 && letters < portion) {
    start -= 1;
    letters += lettersOf(branch, start, start + 1);
  }
  return start;
}

function lettersOf(branch: readonly Message[], start: number, end: number): number {
  return branch.slice(start, end).reduce((sum, { content }) => sum + content.length, 0);
}
