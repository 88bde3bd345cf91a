import { useTranslation } from "react-i18next";

import { formatBytes } from "@/lib/format";

/** Memory in bytes, by purpose. */
export interface MemoryUsage {
  weights: number;
  cache: number;
  /** How many chats have a cache of their own; 1: all share one. */
  slots: number;
  compute: number;
  saved: number;
  process: number;
  gpu: number;
}

/** A line with memory by purpose. */
export function MemoryParts({ parts, className }: { parts: MemoryUsage; className?: string }) {
  const { t } = useTranslation();
  const { weights, cache, slots, compute, saved, process, gpu } = parts;
  const entries: [string, number][] = [
    [t("memoryParts.weights"), weights],
    [t("memoryParts.cache", { count: slots }), cache],
    [t("memoryParts.compute"), compute],
    [t("memoryParts.saved"), saved],
    [t("memoryParts.process"), process],
    [t("memoryParts.gpu"), gpu],
  ];
  return (
    <p className={className}>
      {entries
        .filter(([, size]) => size > 0)
        .map(([name, size]) => `${name} ${formatBytes(size)}`)
        .join(" · ")}
    </p>
  );
}
