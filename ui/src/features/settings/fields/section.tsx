import type { ReactNode } from "react";

/** Fields that belong together. */
export function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title} className="flex flex-col gap-4">
      <h3 className="border-b border-line pb-1.5 text-xs font-medium text-faint">{title}</h3>
      {children}
    </section>
  );
}
