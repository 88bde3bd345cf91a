import { useTranslation } from "react-i18next";

import { IconButton } from "@/components/button";
import { CloseIcon, DownloadIcon, FolderIcon, TrashIcon } from "@/components/icons";

interface SelectionBarProps {
  count: number;
  onMove: () => void;
  onExport: () => void;
  onDelete: () => void;
  onClose: () => void;
}

/** What can be done with the selected chats. */
export function SelectionBar({ count, onMove, onExport, onDelete, onClose }: SelectionBarProps) {
  const { t } = useTranslation();
  const none = count === 0;
  return (
    <div
      role="toolbar"
      aria-label={t("selection.label")}
      className="flex shrink-0 items-center gap-1 border-t border-line px-2 py-1"
    >
      <p role="status" className="min-w-0 flex-1 truncate px-3 text-sm text-muted">
        {t("selection.count", { count })}
      </p>
      <IconButton label={t("sessions.move")} disabled={none} onClick={onMove}>
        <FolderIcon />
      </IconButton>
      <IconButton label={t("sessions.export")} disabled={none} onClick={onExport}>
        <DownloadIcon />
      </IconButton>
      <IconButton label={t("sessions.delete")} disabled={none} onClick={onDelete}>
        <TrashIcon />
      </IconButton>
      <IconButton label={t("selection.end")} onClick={onClose}>
        <CloseIcon />
      </IconButton>
    </div>
  );
}
