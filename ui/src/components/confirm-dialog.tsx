import { useState, type ReactNode } from "react";

import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";

interface ConfirmDialogProps {
  title: string;
  /** What is about to be deleted. */
  name: string;
  /** The consequences. */
  children: ReactNode;
  keep: string;
  confirm: string;
  /** The text before the reason if it fails. */
  failed: string;
  onCancel: () => void;
  /** Rejects if it failed; the dialog then stays open. */
  onConfirm: () => Promise<void>;
}

/** Asks for confirmation before something is deleted. */
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
          <Button variant="danger" disabled={doing} onClick={() => void run()}>
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
