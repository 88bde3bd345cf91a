import { createStore, type StoreApi } from "zustand/vanilla";

import { getMe, signIn, signOut } from "@/api/admin";
import type { Me, Scope } from "@/api/types";

const scopes: readonly Scope[] = ["chat", "manage", "admin"];

export interface AccessState {
  /** null: not known yet. */
  me: Me | null;
  /** The server was asked once, whatever came of it. */
  asked: boolean;

  /** Asks who this page is to the server. */
  ask: () => Promise<void>;
  /** Throws when the key is no good. */
  enter: (key: string) => Promise<void>;
  /** Gives the cookie up. */
  leave: () => Promise<void>;
}

export interface AccessStoreDeps {
  /** Somebody came in: everything is to be read anew. */
  onEntered: () => void;
  /** Somebody left: nothing of theirs may stay on the page. */
  onLeft: () => void;
}

export type AccessStore = StoreApi<AccessState>;

/** Whether this caller may do what needs a scope. Not known yet counts as no. */
export function may({ me }: AccessState, needed: Scope): boolean {
  return me?.scope != null && scopes.indexOf(me.scope) >= scopes.indexOf(needed);
}

export function createAccessStore(deps: AccessStoreDeps): AccessStore {
  return createStore<AccessState>()((set) => ({
    me: null,
    asked: false,
    async ask() {
      try {
        set({ me: await getMe(), asked: true });
      } catch {
        // Whoever can't be reached is asked again when it is back.
        set({ asked: true });
      }
    },
    async enter(key) {
      set({ me: await signIn(key) });
      deps.onEntered();
    },
    async leave() {
      await signOut();
      deps.onLeft();
    },
  }));
}
