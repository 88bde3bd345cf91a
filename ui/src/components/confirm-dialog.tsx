import { useState, type ReactNode } from "react";

import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";

interface ConfirmDialogProps {
  title: string;
  /** What is about to go. */
  name: string;
  /** What that means. */
  children: ReactNode;
  keep: string;
  confirm: string;
  /** Before the reason why it failed. */
  failed: string;
  onCancel: () => void;
  /** Rejects when it could not be done; then the question stays. */
  onConfirm: () => Promise<void>;
}

/** Asks before something goes that does not come back. */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const { title, name, children, keep, confirm, failed, onCancel, onConfirm } = props;
  const [doing, setDoing] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  const run = async () => {
    setDoing(true);
    setFailure(null);
    try {
      await onConfirm();
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
      setDoing(false);
    }
  };
  return (
    <Dialog
      title={title}
      onClose={onCancel}
      actions={
        <>
          <Button onClick={onCancel}>{keep}</Button>
          <Button look="danger" disabled={doing} onClick={() => void run()}>
            {confirm}
          </Button>
        </>
      }
    >
      <p className="wrap-anywhere">
        <span className="font-medium text-text">{name}</span>
        {children}
      </p>
      {failure !== null && (
        <p role="alert" className="mt-3 text-danger">
          {failed} {failure}
        </p>
      )}
    </Dialog>
  );
}
