import { useLayoutEffect, useRef, type ReactNode } from "react";

import { classNames } from "@/lib/class-names";

interface ModalProps {
  /** Id of the element that names the dialog, or its name. */
  labelledBy?: string;
  label?: string;
  className?: string;
  /** On Esc, or a click outside the dialog. */
  onClose: () => void;
  children: ReactNode;
}

/** The browser's modal dialog, which traps the focus and restores it. Open while rendered. */
export function Modal({ labelledBy, label, className, onClose, children }: ModalProps) {
  const ref = useRef<HTMLDialogElement>(null);

  useLayoutEffect(() => {
    const dialog = ref.current;
    dialog?.showModal();
    dialog?.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => dialog?.close();
  }, []);

  return (
    <dialog
      ref={ref}
      aria-labelledby={labelledBy}
      aria-label={label}
      className={classNames("text-text backdrop:bg-shade", className)}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onPointerDown={(event) => {
        if (event.target === event.currentTarget) onClose();
      }}
    >
      {children}
    </dialog>
  );
}

interface DialogProps {
  title: string;
  onClose: () => void;
  children: ReactNode;
  actions: ReactNode;
}

/** A dialog in the middle of the page. */
export function Dialog({ title, onClose, children, actions }: DialogProps) {
  const id = "dialog-title";
  return (
    <Modal
      labelledBy={id}
      onClose={onClose}
      className="m-auto w-[min(26rem,calc(100vw-2rem))] rounded-panel border border-line-strong bg-raised shadow-panel"
    >
      <div className="p-5">
        <h2 id={id} className="text-base font-semibold">
          {title}
        </h2>
        <div className="mt-2 text-sm text-muted">{children}</div>
        <div className="mt-5 flex justify-end gap-2">{actions}</div>
      </div>
    </Modal>
  );
}
