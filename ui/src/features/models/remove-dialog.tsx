import { useTranslation } from "react-i18next";

import type { LocalModel } from "@/api/types";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { formatBytes } from "@/lib/format";

interface RemoveDialogProps {
  model: LocalModel;
  onCancel: () => void;
  onRemove: () => void;
}

/** Gigabytes are not fetched again in a moment: one is asked. */
export function RemoveDialog({ model, onCancel, onRemove }: RemoveDialogProps) {
  const { t } = useTranslation();
  return (
    <Dialog
      title={t("models.removeTitle")}
      onClose={onCancel}
      actions={
        <>
          <Button onClick={onCancel}>{t("models.keep")}</Button>
          <Button look="danger" onClick={onRemove}>
            {t("models.remove")}
          </Button>
        </>
      }
    >
      <p className="wrap-anywhere">
        <span className="font-medium text-text">{model.name}</span>{" "}
        {t("models.removeText", { size: formatBytes(model.size) })}
      </p>
    </Dialog>
  );
}
