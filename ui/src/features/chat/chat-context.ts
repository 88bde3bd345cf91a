import { createContext, use } from "react";
import { useStore } from "zustand";

import type { ChatState } from "@/features/chat/chat-state";
import type { ChatStore } from "@/features/chat/chat-store";

export const ChatContext = createContext<ChatStore | null>(null);

/** The chat around, for those who look at it in their own time. */
export function useChatStore(): ChatStore {
  const store = use(ChatContext);
  if (!store) throw new Error("useChat needs a ChatContext around it.");
  return store;
}

/** One value of the chat around; a component reads only what it shows. */
export function useChat<T>(select: (state: ChatState) => T): T {
  return useStore(useChatStore(), select);
}
