import { useEffect, useState, type RefObject } from "react";

/** Pixels by which what is rendered moves on, and how much of it lies outside on either side. */
const step = 400;

export interface Span {
  top: number;
  bottom: number;
}

/** The part of a scrolled element that is seen, and some more on either side. */
export function useShownSpan(scroller: RefObject<HTMLElement | null>): Span {
  const [first, setFirst] = useState(0);
  const [height, setHeight] = useState(() => innerHeight);

  useEffect(() => {
    const frame = scroller.current;
    if (!frame) return;
    const look = () => {
      setFirst(Math.floor(frame.scrollTop / step));
      if (frame.clientHeight > 0) setHeight(frame.clientHeight);
    };
    frame.addEventListener("scroll", look, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(frame);
    return () => {
      frame.removeEventListener("scroll", look);
      observer.disconnect();
    };
  }, [scroller]);

  return { top: (first - 1) * step, bottom: (first + 2) * step + height };
}
