import { useCallback, useEffect, useRef, useState, type RefObject } from "react";

/** Pixels from the end that still count as being there. */
const nearEnd = 24;
/** Pixels from the end where a way back is offered. */
const farFromEnd = 160;

export interface FollowEnd {
  scroller: RefObject<HTMLDivElement | null>;
  content: RefObject<HTMLDivElement | null>;
  /** The reader is somewhere above, and the newest text is out of sight. */
  away: boolean;
  jump: () => void;
  /** Brings an element into the middle, and follows the end no more. */
  show: (element: Element) => void;
}

/**
 * Keeps the end of a growing content in sight, until the reader scrolls up: then nothing moves
 * until they come back to the end or `jump` is called.
 */
export function useFollowEnd(): FollowEnd {
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const [away, setAway] = useState(false);

  const jump = useCallback(() => {
    following.current = true;
    setAway(false);
    const frame = scroller.current;
    if (frame) frame.scrollTop = frame.scrollHeight;
  }, []);

  const show = useCallback((element: Element) => {
    following.current = false;
    element.scrollIntoView({ block: "center" });
  }, []);

  useEffect(() => {
    const frame = scroller.current;
    const inside = content.current;
    if (!frame || !inside) return;
    let lastTop = frame.scrollTop;
    let lastHeight = frame.scrollHeight;

    const below = () => frame.scrollHeight - frame.clientHeight - frame.scrollTop;
    const scrolled = () => {
      const left = below();
      const height = frame.scrollHeight;
      // Growth never moves the text down the screen: who goes up does so on purpose, unless something
      // above turned out lower than was thought.
      if (frame.scrollTop < lastTop && height >= lastHeight && left > 1) following.current = false;
      if (left <= nearEnd && frame.scrollTop >= lastTop) following.current = true;
      lastTop = frame.scrollTop;
      lastHeight = height;
      setAway(!following.current && left > farFromEnd);
    };
    const grown = () => {
      if (following.current) frame.scrollTop = frame.scrollHeight;
      else setAway(below() > farFromEnd);
    };
    const observer = new ResizeObserver(grown);
    observer.observe(inside);
    observer.observe(frame);
    frame.addEventListener("scroll", scrolled, { passive: true });
    return () => {
      observer.disconnect();
      frame.removeEventListener("scroll", scrolled);
    };
  }, []);

  return { scroller, content, away, jump, show };
}
