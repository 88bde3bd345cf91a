import type { ReactNode } from "react";

/** A small label beside something. */
export function Badge({ children }: { children: ReactNode }) {
  return (
    <span className="rounded-full border border-line-strong px-2 text-xs leading-5 text-muted">
      {children}
    </span>
  );
}
