import type { DragEvent } from "react";

/** Chats that are being dragged, as JSON; of this page alone. */
const kind = "application/x-chats";

export function dragChats(event: DragEvent, ids: readonly string[]) {
  event.dataTransfer.setData(kind, JSON.stringify(ids));
  event.dataTransfer.effectAllowed = "copyMove";
}

/** The ids of the chats that are dropped; none if it is something else. */
export function draggedChats(event: DragEvent): string[] {
  try {
    const ids: unknown = JSON.parse(event.dataTransfer.getData(kind));
    return Array.isArray(ids) ? ids.filter((id) => typeof id === "string") : [];
  } catch {
    return [];
  }
}
