import { useState } from "react";
import { useTranslation } from "react-i18next";

import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";

interface RevokeDialogProps {
  name: string;
  onCancel: () => void;
  /** Rejects when the key could not be revoked. */
  onRevoke: () => Promise<void>;
}

export function RevokeDialog({ name, onCancel, onRevoke }: RevokeDialogProps) {
  const { t } = useTranslation();
  const [failure, setFailure] = useState<string | null>(null);
  const revoke = async () => {
    try {
      await onRevoke();
    } catch (error) {
      setFailure((error as Error).message);
    }
  };
  return (
    <Dialog
      title={t("keys.revokeTitle")}
      onClose={onCancel}
      actions={
        <>
          <Button onClick={onCancel}>{t("app.cancel")}</Button>
          <Button look="danger" onClick={() => void revoke()}>
            {t("keys.revoke")}
          </Button>
        </>
      }
    >
      <p className="wrap-anywhere">
        <span className="font-medium text-text">{name}</span>. {t("keys.revokeText")}
      </p>
      {failure !== null && (
        <p role="alert" className="mt-3 text-danger">
          {t("keys.failed")} {failure}
        </p>
      )}
    </Dialog>
  );
}
