import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Folder } from "@/api/types";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { useSessions } from "@/features/sessions/sessions-context";

/** Asks what becomes of a folder's chats. */
export function RemoveFolderDialog({ folder, onClose }: { folder: Folder; onClose: () => void }) {
  const { t } = useTranslation();
  const [failure, setFailure] = useState<string | null>(null);
  const removeFolder = useSessions((state) => state.removeFolder);
  const count = useSessions(
    (state) => state.sessions.filter(({ folder_id: id }) => id === folder.id).length,
  );
  const remove = async (chats: "keep" | "delete") => {
    try {
      await removeFolder(folder.id, chats);
      onClose();
    } catch (error) {
      setFailure(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <Dialog
      title={t("folders.deleteTitle")}
      onClose={onClose}
      actions={
        <div className="flex flex-wrap justify-end gap-2">
          <Button onClick={onClose}>{t("app.cancel")}</Button>
          {count > 0 && (
            <Button variant="danger" onClick={() => void remove("delete")}>
              {t("folders.deleteChats", { count })}
            </Button>
          )}
          <Button variant={count > 0 ? "plain" : "danger"} onClick={() => void remove("keep")}>
            {count > 0 ? t("folders.keepChats") : t("folders.delete")}
          </Button>
        </div>
      }
    >
      <p className="wrap-anywhere">
        <span className="font-medium text-text">{folder.name}</span>
        {count > 0 && ` ${t("folders.deleteText", { count })}`}
      </p>
      {failure !== null && (
        <p role="alert" className="mt-3 text-danger">
          {t("folders.notDeleted")} {failure}
        </p>
      )}
    </Dialog>
  );
}
