import { useTranslation } from "react-i18next";

import { formatBytes } from "@/lib/format";

/** Bytes of memory, by what they are for. */
export interface Parts {
  weights: number;
  cache: number;
  /** So many chats at a time have room of their own in the cache; 1: all share it. */
  slots: number;
  compute: number;
  saved: number;
  process: number;
  gpu: number;
}

/** What memory is for, in a line. */
export function MemoryParts({ parts, className }: { parts: Parts; className?: string }) {
  const { t } = useTranslation();
  const { weights, cache, slots, compute, saved, process, gpu } = parts;
  const told: [string, number][] = [
    [t("memoryParts.weights"), weights],
    [t("memoryParts.cache", { count: slots }), cache],
    [t("memoryParts.compute"), compute],
    [t("memoryParts.saved"), saved],
    [t("memoryParts.process"), process],
    [t("memoryParts.gpu"), gpu],
  ];
  return (
    <p className={className}>
      {told
        .filter(([, size]) => size > 0)
        .map(([name, size]) => `${name} ${formatBytes(size)}`)
        .join(" · ")}
    </p>
  );
}
