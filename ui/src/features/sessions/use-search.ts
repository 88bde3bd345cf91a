import { useCallback, useEffect, useState } from "react";

import { searchMessages } from "@/api/endpoints";
import type { SearchHit } from "@/api/types";

/** Debounce time between keystrokes. */
const pauseMs = 150;

interface Found {
  query: string;
  hits: readonly SearchHit[];
  more: boolean;
  failed: boolean;
}

const nothing: Found = { query: "", hits: [], more: false, failed: false };

interface Search extends Omit<Found, "query"> {
  /** The results are those of the current query. */
  settled: boolean;
  fetchMore: () => void;
}

/** The messages that contain the words of `query`; older results stay until the new ones arrive. */
export function useSearch(query: string): Search {
  const [found, setFound] = useState(nothing);

  useEffect(() => {
    const abort = new AbortController();
    const ask = async () => {
      try {
        const { hits, more } = await searchMessages(query, 0, abort.signal);
        setFound({ query, hits, more, failed: false });
      } catch {
        if (!abort.signal.aborted) setFound({ ...nothing, query, failed: true });
      }
    };
    const timer = setTimeout(() => {
      if (query === "") setFound(nothing);
      else void ask();
    }, pauseMs);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [query]);

  const fetchMore = useCallback(() => {
    const { signal } = new AbortController();
    searchMessages(found.query, found.hits.length, signal).then(
      ({ hits, more }) => {
        setFound((now) =>
          now.query === found.query ? { ...now, hits: [...now.hits, ...hits], more } : now,
        );
      },
      () => {
        setFound((now) => ({ ...now, failed: true }));
      },
    );
  }, [found]);

  return { ...found, hits: query === "" ? [] : found.hits, settled: found.query === query, fetchMore };
}
