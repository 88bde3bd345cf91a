import { listAllMessages } from "@/api/endpoints";
import type { Message, Session } from "@/api/types";

/** A chat as it is read from its beginning: the versions that are shown. */
export interface WholeChat {
  title: string;
  messages: readonly Message[];
}

export async function readChat({ id, leaf_id }: Session, title: string): Promise<WholeChat> {
  const messages = new Map((await listAllMessages(id)).map((message) => [message.id, message]));
  const branch: Message[] = [];
  let next = messages.get(leaf_id ?? "");
  while (next) {
    branch.push(next);
    next = messages.get(next.parent_id ?? "");
  }
  return { title, messages: branch.reverse().filter(({ role }) => role !== "system") };
}
