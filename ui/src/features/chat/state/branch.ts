import type { Message } from "@/api/types";

/** Messages by id, in the order of their creation. */
export type MessageTable = Readonly<Record<string, Message>>;

export function messageTable(messages: readonly Message[]): MessageTable {
  return Object.fromEntries(messages.map((message) => [message.id, message]));
}

/** The messages from the first one down to `leafId`. */
export function branchTo(table: MessageTable, leafId: string | null): Message[] {
  const branch: Message[] = [];
  let next = leafId === null ? undefined : table[leafId];
  while (next) {
    branch.push(next);
    next = next.parent_id === null ? undefined : table[next.parent_id];
  }
  return branch.reverse();
}

/** The position of a message among the versions with the same parent. */
export interface Version {
  /** From 1. */
  number: number;
  count: number;
  earlierId: string | null;
  laterId: string | null;
}

/** The versions of every message that has more than one. */
export function versionsOf(table: MessageTable): ReadonlyMap<string, Version> {
  const families = new Map<string, Message[]>();
  for (const message of Object.values(table)) {
    const key = `${message.role} ${message.parent_id ?? ""}`;
    const family = families.get(key);
    if (family) family.push(message);
    else families.set(key, [message]);
  }
  const versions = new Map<string, Version>();
  for (const family of families.values()) {
    if (family.length === 1) continue;
    family.forEach(({ id }, at) => {
      versions.set(id, {
        number: at + 1,
        count: family.length,
        earlierId: family[at - 1]?.id ?? null,
        laterId: family[at + 1]?.id ?? null,
      });
    });
  }
  return versions;
}

/** All versions of a message, in the order of their creation. */
export function familyOf(table: MessageTable, id: string): Message[] {
  const one = table[id];
  return Object.values(table).filter(
    (message) => message.role === one?.role && message.parent_id === one.parent_id,
  );
}

/** The newest leaf below `id`. */
export function leafBelow(table: MessageTable, id: string): string {
  const newestChild = new Map<string, string>();
  for (const message of Object.values(table)) {
    if (message.parent_id !== null) newestChild.set(message.parent_id, message.id);
  }
  let leaf = id;
  for (let next = newestChild.get(leaf); next !== undefined; next = newestChild.get(leaf)) {
    leaf = next;
  }
  return leaf;
}

/** `leafId` if its branch contains `id`, else the newest leaf below `id`. */
export function leafThrough(table: MessageTable, leafId: string | null, id: string): string {
  const shown = leafId !== null && branchTo(table, leafId).some((message) => message.id === id);
  return shown ? leafId : leafBelow(table, id);
}
