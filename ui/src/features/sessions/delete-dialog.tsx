import { useTranslation } from "react-i18next";

import type { Session } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { sessionTitle } from "@/features/sessions/session-title";

interface DeleteDialogProps {
  session: Session;
  onCancel: () => void;
  /** Rejects when the chat could not be deleted. */
  onDelete: () => Promise<void>;
}

export function DeleteDialog({ session, onCancel, onDelete }: DeleteDialogProps) {
  const { t } = useTranslation();
  return (
    <ConfirmDialog
      title={t("sessions.deleteTitle")}
      name={sessionTitle(session, t)}
      keep={t("sessions.keep")}
      confirm={t("sessions.delete")}
      failed={t("sessions.notDeleted")}
      onCancel={onCancel}
      onConfirm={onDelete}
    >
      {" "}
      {t("sessions.deleteText")}
    </ConfirmDialog>
  );
}
