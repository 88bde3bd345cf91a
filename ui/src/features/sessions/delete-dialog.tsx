import { useState } from "react";

import type { Session } from "@/api/types";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { sessionTitle } from "@/features/sessions/session-title";

interface DeleteDialogProps {
  session: Session;
  onCancel: () => void;
  /** Rejects when the chat could not be deleted. */
  onDelete: () => Promise<void>;
}

export function DeleteDialog({ session, onCancel, onDelete }: DeleteDialogProps) {
  const [deleting, setDeleting] = useState(false);
  const [failure, setFailure] = useState<string | null>(null);

  const confirm = async () => {
    setDeleting(true);
    setFailure(null);
    try {
      await onDelete();
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
      setDeleting(false);
    }
  };
  return (
    <Dialog
      title="Delete this chat?"
      onClose={onCancel}
      actions={
        <>
          <Button onClick={onCancel}>Keep</Button>
          <Button look="danger" disabled={deleting} onClick={() => void confirm()}>
            Delete
          </Button>
        </>
      }
    >
      <p className="wrap-anywhere">
        <span className="font-medium text-text">{sessionTitle(session)}</span> and all of its
        messages will be gone from this machine. This can’t be undone.
      </p>
      {failure !== null && (
        <p role="alert" className="mt-3 text-danger">
          It could not be deleted. {failure}
        </p>
      )}
    </Dialog>
  );
}
