import { useCallback, useEffect, useRef, useState, type RefObject } from "react";

/** Pixels from the end that still count as being at the end. */
const nearEnd = 24;
/** Pixels from the end from which on a button to jump back is offered. */
const farFromEnd = 160;

export interface StickToBottom {
  scroller: RefObject<HTMLDivElement | null>;
  content: RefObject<HTMLDivElement | null>;
  /** The reader has scrolled up, and the newest text is out of sight. */
  away: boolean;
  jump: () => void;
  /** Scrolls to an element, and stops following the end. */
  show: (element: Element) => void;
}

/**
 * Keeps the end of growing content in sight, until the reader scrolls up: then nothing moves until
 * they return to the end or `jump` is called.
 */
export function useStickToBottom(): StickToBottom {
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
      // Growth never scrolls up: this is the reader, unless content above turned out lower than
      // estimated.
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
