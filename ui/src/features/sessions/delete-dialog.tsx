import { useState } from "react";
import { useTranslation } from "react-i18next";

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
  const { t } = useTranslation();
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
      title={t("sessions.deleteTitle")}
      onClose={onCancel}
      actions={
        <>
          <Button onClick={onCancel}>{t("sessions.keep")}</Button>
          <Button look="danger" disabled={deleting} onClick={() => void confirm()}>
            {t("sessions.delete")}
          </Button>
        </>
      }
    >
      <p className="wrap-anywhere">
        <span className="font-medium text-text">{sessionTitle(session, t)}</span>{" "}
        {t("sessions.deleteText")}
      </p>
      {failure !== null && (
        <p role="alert" className="mt-3 text-danger">
          {t("sessions.notDeleted")} {failure}
        </p>
      )}
    </Dialog>
  );
}
