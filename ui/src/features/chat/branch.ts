import type { Message } from "@/api/types";

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
