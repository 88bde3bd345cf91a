import { createContext, startTransition, use, useEffect, useState } from "react";
import { useStore } from "zustand";

import { isBusy, type ChatState } from "@/features/chat/state/chat-state";
import type { ChatStore } from "@/features/chat/state/chat-store";

export const ChatContext = createContext<ChatStore | null>(null);

/** The chat store of the context, for components that subscribe to it themselves. */
export function useChatStore(): ChatStore {
  const store = use(ChatContext);
  if (!store) throw new Error("useChat needs a ChatContext around it.");
  return store;
}

/** A value of the chat store; a component selects only what it shows. */
export function useChat<T>(select: (state: ChatState) => T): T {
  return useStore(useChatStore(), select);
}

/**
 * Whether a reply is pending or being generated, for the actions of each message. There are many of
 * them, so each subscribes on its own and updates in a transition: a context would update all of them
 * in one render.
 */
export function useDeferredBusy(): boolean {
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
