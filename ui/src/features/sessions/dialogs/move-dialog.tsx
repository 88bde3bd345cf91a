import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Session } from "@/api/types";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { CloseIcon, FolderIcon, PlusIcon } from "@/components/icons";
import { FolderDialog } from "@/features/sessions/dialogs/folder-dialog";
import { useSessions } from "@/features/sessions/sessions-context";

interface MoveDialogProps {
  chats: readonly Session[];
  onClose: () => void;
  /** null: out of their folders. */
  onMove: (folderId: string | null) => void;
}

/** Where chats are moved to. */
export function MoveDialog({ chats, onClose, onMove }: MoveDialogProps) {
  const { t } = useTranslation();
  const folders = useSessions((state) => state.folders);
  const [making, setMaking] = useState(false);
  if (making) {
    return (
      <FolderDialog
        folder={null}
        onClose={onClose}
        onMade={({ id }) => {
          onMove(id);
        }}
      />
    );
  }
  const choice = "w-full justify-start";
  return (
    <Dialog
      title={t("folders.moveTitle", { count: chats.length })}
      onClose={onClose}
      actions={<Button onClick={onClose}>{t("app.cancel")}</Button>}
    >
      <ul className="-mx-2 flex max-h-[50dvh] flex-col overflow-y-auto">
        {folders.map(({ id, name }) => (
          <li key={id}>
            <Button
              variant="quiet"
              className={choice}
              onClick={() => {
                onMove(id);
              }}
            >
              <FolderIcon className="size-4" />
              <span dir="auto" className="truncate">
                {name}
              </span>
            </Button>
          </li>
        ))}
        {chats.some(({ folder_id: id }) => id) && (
          <li>
            <Button
              variant="quiet"
              className={choice}
              onClick={() => {
                onMove(null);
              }}
            >
              <CloseIcon className="size-4" />
              {t("folders.none")}
            </Button>
          </li>
        )}
        <li>
          <Button
            variant="quiet"
            className={choice}
            onClick={() => {
              setMaking(true);
            }}
          >
            <PlusIcon className="size-4" />
            {t("folders.new")}
          </Button>
        </li>
      </ul>
    </Dialog>
  );
}
