import { createContext, use, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";
import { createStore, type StoreApi } from "zustand/vanilla";

import { Button, IconButton } from "@/components/button";
import { CloseIcon } from "@/components/icons";

/** A short notification, with Undo if that is possible. */
export interface Toast {
  text: string;
  action?: { label: string; run: () => void };
}

export type Notify = (toast: Toast) => void;

interface ToastsState {
  shown: readonly (Toast & { id: number })[];
  notify: Notify;
  dismiss: (id: number) => void;
}

export type ToastStore = StoreApi<ToastsState>;

const most = 3;

export function createToastStore(): ToastStore {
  let ids = 0;
  return createStore<ToastsState>()((set) => ({
    shown: [],
    notify(toast) {
      ids += 1;
      const added = { ...toast, id: ids };
      set(({ shown }) => ({ shown: [...shown, added].slice(-most) }));
    },
    dismiss(id) {
      set(({ shown }) => ({ shown: shown.filter((toast) => toast.id !== id) }));
    },
  }));
}

export const ToastContext = createContext<ToastStore | null>(null);

export function useNotify(): Notify {
  const store = use(ToastContext);
  if (!store) throw new Error("useNotify needs a ToastContext around it.");
  return useStore(store, (state) => state.notify);
}

/** The toasts at the foot of the page; they stay while the pointer or the focus is on them. */
export function Toasts() {
  const { t } = useTranslation();
  const store = use(ToastContext);
  if (!store) throw new Error("Toasts needs a ToastContext around it.");
  const shown = useStore(store, (state) => state.shown);
  const dismiss = useStore(store, (state) => state.dismiss);
  const [held, setHeld] = useState(false);
  return (
    <section
      aria-label={t("app.notices")}
      onPointerEnter={() => {
        setHeld(true);
      }}
      onPointerLeave={() => {
        setHeld(false);
      }}
      onFocus={() => {
        setHeld(true);
      }}
      onBlur={() => {
        setHeld(false);
      }}
      className="pointer-events-none fixed inset-x-0 bottom-28 z-30 flex flex-col items-center gap-2 px-4"
    >
      <div role="status" className="contents">
        {shown.map((toast) => (
          <ToastLine
            key={toast.id}
            toast={toast}
            held={held}
            onDone={() => {
              dismiss(toast.id);
            }}
          />
        ))}
      </div>
    </section>
  );
}

const shownMs = 5000;
const shownWithActionMs = 12_000;

function ToastLine({ toast, held, onDone }: { toast: Toast; held: boolean; onDone: () => void }) {
  const { t } = useTranslation();
  const { text, action } = toast;

  useEffect(() => {
    if (held) return;
    const timer = setTimeout(onDone, action ? shownWithActionMs : shownMs);
    return () => {
      clearTimeout(timer);
    };
    // A new onDone of the same toast must not restart its timer.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [held, toast]);

  return (
    <div className="pointer-events-auto flex max-w-full animate-arrive items-center gap-2 rounded-panel border border-line-strong bg-raised py-1.5 ps-4 pe-1.5 text-sm shadow-panel">
      <p className="min-w-0 truncate">{text}</p>
      {action && (
        <Button
          variant="quiet"
          className="text-accent"
          onClick={() => {
            onDone();
            action.run();
          }}
        >
          {action.label}
        </Button>
      )}
      <IconButton label={t("app.dismiss")} className="size-8" onClick={onDone}>
        <CloseIcon className="size-4" />
      </IconButton>
    </div>
  );
}
