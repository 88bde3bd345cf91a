import { useRef, useState } from "react";

import type { Session } from "@/api/types";

export interface Selection {
  /** Chats are being selected: a click selects, and opens nothing. */
  active: boolean;
  has: (id: string) => boolean;
  /** The selected chats that are listed. */
  chats: readonly Session[];
  toggle: (id: string) => void;
  /** Selects all from the one that was selected last. */
  extend: (id: string) => void;
}

/** Many chats at once. Selecting the first one begins it. */
export function useSelection(
  listed: readonly Session[],
  active: boolean,
  onActive: (active: boolean) => void,
): Selection {
  const [ids, setIds] = useState<ReadonlySet<string>>(new Set());
  const last = useRef<string | null>(null);
  const of = active ? ids : new Set<string>();
  const change = (id: string, next: ReadonlySet<string>) => {
    last.current = id;
    setIds(next);
    if (!active) onActive(true);
  };
  return {
    active,
    has: (id) => of.has(id),
    chats: listed.filter(({ id }) => of.has(id)),
    toggle(id) {
      const next = new Set(of);
      if (!next.delete(id)) next.add(id);
      change(id, next);
    },
    extend(id) {
      const place = (wanted: string | null) => listed.findIndex((one) => one.id === wanted);
      const [from, to] = [active ? place(last.current) : -1, place(id)].toSorted((a, b) => a - b);
      if (from === undefined || to === undefined || from < 0) change(id, new Set([...of, id]));
      else change(id, new Set([...of, ...listed.slice(from, to + 1).map((one) => one.id)]));
    },
  };
}
