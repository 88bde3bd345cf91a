import {
  startTransition,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
  type RefObject,
} from "react";

import type { Message } from "@/api/types";
import { estimateHeight } from "@/features/chat/components/estimated-height";
import { useDeferredHistory } from "@/features/chat/components/use-deferred-history";

/** Longer chats are rendered in part: what is in sight, and some more on either side. */
const renderedWhole = 200;
/** Pixels on either side, and how near the reader comes to their end before others are rendered. */
const aroundPx = 1600;
const nearPx = 800;
/** Messages on either side of the one that the address names. */
const aroundTarget = 6;

/** WebKit doesn't keep the reader's place when what is above it changes its height. */
const keepsPlace = CSS.supports("overflow-anchor", "auto");

/** The part of a chat that is rendered, and the pixels that the rest takes. */
export interface MessageWindow {
  from: number;
  to: number;
  above: number;
  below: number;
}

interface Range {
  /** The first and the last message rendered; null: the chat's. */
  first: string | null;
  last: string | null;
}

/** `list`: the element whose children are the messages, with their ids in `data-message`. */
export function useMessageWindow(
  branch: readonly Message[],
  targetId: string | null,
  scroller: RefObject<HTMLElement | null>,
  list: RefObject<HTMLElement | null>,
): MessageWindow {
  const deferred = useDeferredHistory(branch, targetId);
  const whole = branch.length <= renderedWhole;
  const heights = useRef(new Map<string, number>());
  const places = useMemo(() => new Map(branch.map(({ id }, at) => [id, at])), [branch]);
  const [range, setRange] = useState(() => firstRange(branch, places, targetId));
  const [shownTarget, setShownTarget] = useState(targetId);
  if (targetId !== shownTarget) {
    setShownTarget(targetId);
    if (targetId !== null) setRange(firstRange(branch, places, targetId));
  }

  const anchor = useRef<{ id: string; top: number } | null>(null);
  const from = range.first === null ? 0 : (places.get(range.first) ?? 0);
  const last = range.last === null ? undefined : places.get(range.last);
  const to = last === undefined ? branch.length : last + 1;

  useEffect(() => {
    const frame = scroller.current;
    const rows = list.current;
    if (whole || !frame || !rows) return;
    const look = () => {
      const shown = Array.from(rows.querySelectorAll<HTMLElement>("[data-message]"));
      const edge = frame.getBoundingClientRect();
      const tops = shown.map((row) => row.getBoundingClientRect().top);
      tops.forEach((top, at) => {
        const next = tops[at + 1];
        const id = shown[at]?.dataset.message;
        if (next !== undefined && id !== undefined) heights.current.set(id, next - top);
        if (id !== undefined && top <= edge.top + frame.clientHeight / 2) anchor.current = { id, top };
      });
      const end = shown.at(-1)?.getBoundingClientRect().bottom ?? 0;
      const missesAbove = from > 0 && (tops[0] ?? 0) > edge.top - nearPx;
      const missesBelow = to < branch.length && end < edge.bottom + nearPx;
      if (!missesAbove && !missesBelow) return;
      // Where the reader is, counted from the first message rendered.
      const before = sumOf(branch, 0, from, heights.current);
      const top = edge.top - (tops[0] ?? 0) + before;
      const next = rangeAt(branch, heights.current, top - aroundPx, top + frame.clientHeight + aroundPx);
      startTransition(() => {
        setRange(next);
      });
    };
    look();
    frame.addEventListener("scroll", look, { passive: true });
    return () => {
      frame.removeEventListener("scroll", look);
    };
  }, [whole, branch, from, to, scroller, list]);

  useLayoutEffect(() => {
    const held = anchor.current;
    const frame = scroller.current;
    if (keepsPlace || whole || !held || !frame) return;
    const rows = Array.from(list.current?.querySelectorAll<HTMLElement>("[data-message]") ?? []);
    const row = rows.find(({ dataset }) => dataset.message === held.id);
    if (row) frame.scrollBy(0, row.getBoundingClientRect().top - held.top);
  }, [whole, from, to, scroller, list]);

  if (whole) return { from: deferred, to: branch.length, above: 0, below: 0 };
  // Heights that were measured meanwhile count when the next part is rendered.
  // eslint-disable-next-line react-hooks/refs
  const known = heights.current;
  return {
    from,
    to,
    above: sumOf(branch, 0, from, known),
    below: sumOf(branch, to, branch.length, known),
  };
}

function heightOf({ id, role, content }: Message, known: ReadonlyMap<string, number>): number {
  if (role === "system") return 0;
  return known.get(id) ?? estimateHeight(content);
}

function sumOf(
  branch: readonly Message[],
  from: number,
  to: number,
  known: ReadonlyMap<string, number>,
): number {
  let sum = 0;
  for (let at = from; at < to; at += 1) {
    const message = branch[at];
    if (message) sum += heightOf(message, known);
  }
  return sum;
}

/** The messages between two places, in pixels from the chat's beginning. */
function rangeAt(
  branch: readonly Message[],
  known: ReadonlyMap<string, number>,
  top: number,
  bottom: number,
): Range {
  let place = 0;
  let first: string | null = null;
  for (const message of branch) {
    if (place <= top) first = message.id;
    if (place >= bottom) return { first, last: message.id };
    place += heightOf(message, known);
  }
  return { first, last: null };
}

/** The end of the chat, or what is around the message that the address names. */
function firstRange(
  branch: readonly Message[],
  places: ReadonlyMap<string, number>,
  targetId: string | null,
): Range {
  const target = targetId === null ? undefined : places.get(targetId);
  if (target !== undefined) {
    return {
      first: branch[target - aroundTarget]?.id ?? null,
      last: branch[target + aroundTarget]?.id ?? null,
    };
  }
  const none = new Map<string, number>();
  let height = 0;
  let at = branch.length;
  while (at > 0 && height < innerHeight + aroundPx) {
    at -= 1;
    height += sumOf(branch, at, at + 1, none);
  }
  return { first: branch[at]?.id ?? null, last: null };
}
