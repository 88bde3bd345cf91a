import { useTranslation } from "react-i18next";

import type { Session } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { sessionTitle } from "@/features/sessions/session-title";

interface DeleteDialogProps {
  chats: readonly Session[];
  onCancel: () => void;
  /** Rejects when they could not be deleted. */
  onDelete: () => Promise<void>;
}

export function DeleteDialog({ chats, onCancel, onDelete }: DeleteDialogProps) {
  const { t } = useTranslation();
  const [only] = chats;
  const count = chats.length;
  return (
    <ConfirmDialog
      title={t("sessions.deleteTitle", { count })}
      name={only && count === 1 ? sessionTitle(only, t) : t("selection.count", { count })}
      keep={t("sessions.keep")}
      confirm={t("sessions.delete")}
      failed={t("sessions.notDeleted")}
      onCancel={onCancel}
      onConfirm={onDelete}
    >
      {" "}
      {t("sessions.deleteText", { count })}
    </ConfirmDialog>
  );
}
