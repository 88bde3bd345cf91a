import { useTranslation } from "react-i18next";

import { ConfirmDialog } from "@/components/confirm-dialog";

interface RevokeDialogProps {
  name: string;
  onCancel: () => void;
  /** Rejects when the key could not be revoked. */
  onRevoke: () => Promise<void>;
}

export function RevokeDialog({ name, onCancel, onRevoke }: RevokeDialogProps) {
  const { t } = useTranslation();
  return (
    <ConfirmDialog
      title={t("keys.revokeTitle")}
      name={name}
      keep={t("app.cancel")}
      confirm={t("keys.revoke")}
      failed={t("keys.failed")}
      onCancel={onCancel}
      onConfirm={onRevoke}
    >
      . {t("keys.revokeText")}
    </ConfirmDialog>
  );
}
