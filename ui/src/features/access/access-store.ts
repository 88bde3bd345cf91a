import { createStore, type StoreApi } from "zustand/vanilla";

import { getMe, signIn, signOut } from "@/api/admin";
import type { Me, Scope } from "@/api/types";

const scopes: readonly Scope[] = ["chat", "manage", "admin"];

export interface AccessState {
  /** null: not known yet. */
  me: Me | null;
  /** Whether the server has been asked once, with or without success. */
  checked: boolean;
  /** The key that this page was signed in with is not valid any more. */
  expired: boolean;
  /** Why the last request was refused for want of a key. */
  reason: string | null;

  /** Asks the server who is signed in; `reason`: a request was refused for that. */
  check: (reason?: string) => Promise<void>;
  /** Signs in. Throws if the key is not valid. */
  enter: (key: string) => Promise<void>;
  /** Signs out. */
  leave: () => Promise<void>;
}

export interface AccessStoreDeps {
  /** Signed in: everything has to be loaded again. */
  onEntered: () => void;
  /** Signed out: nothing of theirs may stay on the page. */
  onLeft: () => void;
}

export type AccessStore = StoreApi<AccessState>;

/** Whether this caller has a scope. Counts as no until it is known. */
export function may(me: Me | null, needed: Scope): boolean {
  return me?.scope != null && scopes.indexOf(me.scope) >= scopes.indexOf(needed);
}

export function createAccessStore(deps: AccessStoreDeps): AccessStore {
  let checking = false;
  return createStore<AccessState>()((set, get) => ({
    me: null,
    checked: false,
    expired: false,
    reason: null,
    async check(reason) {
      if (reason !== undefined) set({ reason });
      // Many requests may be refused at once.
      if (checking) return;
      checking = true;
      try {
        const me = await getMe();
        const expired = get().expired || (me.scope === null && get().me?.scope != null);
        set({ me, checked: true, expired: expired && me.scope === null });
      } catch {
        // Checked again when the server is back.
        set({ checked: true });
      } finally {
        checking = false;
      }
    },
    async enter(key) {
      set({ me: await signIn(key), expired: false });
      deps.onEntered();
    },
    async leave() {
      await signOut();
      deps.onLeft();
    },
  }));
}
