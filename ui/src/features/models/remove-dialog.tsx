import { useTranslation } from "react-i18next";

import type { LocalModel } from "@/api/types";
import { ConfirmDialog } from "@/components/confirm-dialog";
import { formatBytes } from "@/lib/format";

interface RemoveDialogProps {
  model: LocalModel;
  onCancel: () => void;
  onRemove: () => Promise<void>;
}

/** Asks for confirmation, because downloading gigabytes again takes long. */
export function RemoveDialog({ model, onCancel, onRemove }: RemoveDialogProps) {
  const { t } = useTranslation();
  return (
    <ConfirmDialog
      title={t("models.removeTitle")}
      name={model.name}
      keep={t("models.keep")}
      confirm={t("models.remove")}
      failed={t("models.failed")}
      onCancel={onCancel}
      onConfirm={onRemove}
    >
      {" "}
      {t("models.removeText", { size: formatBytes(model.size) })}
    </ConfirmDialog>
  );
}
