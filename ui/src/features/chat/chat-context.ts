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

/** Whether a reply is awaited or written, for what is to do with each message: told when there is time. */
export const BusyContext = createContext(false);

/** One value of the chat around; a component reads only what it shows. */
export function useChat<T>(select: (state: ChatState) => T): T {
  return useStore(useChatStore(), select);
}
