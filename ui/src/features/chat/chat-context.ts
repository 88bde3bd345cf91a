import { createContext, use } from "react";
import { useStore } from "zustand";

import type { ChatState } from "@/features/chat/chat-state";
import type { ChatStore } from "@/features/chat/chat-store";

export const ChatContext = createContext<ChatStore | null>(null);

/** One value of the chat around; a component reads only what it shows. */
export function useChat<T>(select: (state: ChatState) => T): T {
  const store = use(ChatContext);
  if (!store) throw new Error("useChat needs a ChatContext around it.");
  return useStore(store, select);
}
