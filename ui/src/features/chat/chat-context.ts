import { createContext, startTransition, use, useEffect, useState } from "react";
import { useStore } from "zustand";

import { isBusy, type ChatState } from "@/features/chat/chat-state";
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

/**
 * Whether a reply is awaited or written, for what can be done with each message. There are many of
 * them: they hear of it between frames, and each by itself, since a context would look for them in
 * all that is shown, at one go.
 */
export function useBusyLater(): boolean {
  const store = useChatStore();
  const [busy, setBusy] = useState(() => isBusy(store.getState()));
  useEffect(() => {
    const follow = () => {
      startTransition(() => {
        setBusy(isBusy(store.getState()));
      });
    };
    follow();
    return store.subscribe((now, before) => {
      if (isBusy(now) !== isBusy(before)) follow();
    });
  }, [store]);
  return busy;
}
