import { useEffect, useRef } from "react";

import { listDownloads } from "@/api/models";
import type { Download } from "@/api/types";
import { isOpen } from "@/features/models/facts";
import { usePolled } from "@/lib/use-polled";

const busyMs = 1000;
const quietMs = 10_000;

function pollInterval(downloads: Download[] | null): number {
  const underWay = downloads?.some(({ status }) => status === "running" || status === "waiting");
  return underWay ? busyMs : quietMs;
}

const noDownloads = () => Promise.resolve<Download[]>([]);

interface Downloads {
  /** Unfinished downloads. */
  open: readonly Download[];
  refresh: () => void;
}

/** The server's downloads, for callers who may see them. `onDone`: one has finished. */
export function useDownloads(manages: boolean, onDone: (download: Download) => void): Downloads {
  const { value, refresh } = usePolled(manages ? listDownloads : noDownloads, pollInterval);
  const watched = useRef<ReadonlySet<string>>(new Set());
  const notify = useRef(onDone);

  useEffect(() => {
    notify.current = onDone;
  });
  useEffect(() => {
    if (!value) return;
    for (const download of value) {
      if (download.status === "done" && watched.current.has(download.id)) notify.current(download);
    }
    watched.current = new Set(value.filter(isOpen).map(({ id }) => id));
  }, [value]);

  return { open: value?.filter(isOpen) ?? [], refresh };
}
