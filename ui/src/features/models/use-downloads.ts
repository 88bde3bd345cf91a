import { useEffect, useRef } from "react";

import { listDownloads } from "@/api/models";
import type { Download } from "@/api/types";
import { isOpen } from "@/features/models/facts";
import { usePolled } from "@/lib/use-polled";

const busyMs = 1000;
const quietMs = 10_000;

function howSoon(downloads: Download[] | null): number {
  const underWay = downloads?.some(({ status }) => status === "running" || status === "waiting");
  return underWay ? busyMs : quietMs;
}

const nobodys = () => Promise.resolve<Download[]>([]);

interface Downloads {
  /** Those that are not over. */
  open: readonly Download[];
  refresh: () => void;
}

/** The server's downloads, for those who may see them. `onDone`: one has arrived. */
export function useDownloads(manages: boolean, onDone: (download: Download) => void): Downloads {
  const { value, refresh } = usePolled(manages ? listDownloads : nobodys, howSoon);
  const watched = useRef<ReadonlySet<string>>(new Set());
  const tell = useRef(onDone);

  useEffect(() => {
    tell.current = onDone;
  });
  useEffect(() => {
    if (!value) return;
    for (const download of value) {
      if (download.status === "done" && watched.current.has(download.id)) tell.current(download);
    }
    watched.current = new Set(value.filter(isOpen).map(({ id }) => id));
  }, [value]);

  return { open: value?.filter(isOpen) ?? [], refresh };
}
