import { Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

import {
  CheckIcon,
  ClockIcon,
  DownloadIcon,
  FolderIcon,
  MoreIcon,
  TrashIcon,
  ImportIcon,
} from "@/components/icons";
import { Menu } from "@/components/menu";
import { DeletedDialog, FolderDialog } from "@/features/sessions/dialogs/lazy-dialogs";
import { useSessionActions } from "@/features/sessions/use-session-actions";

interface ListMenuProps {
  onTemporary: () => void;
  onSelect: () => void;
  /** Chats were imported, and this is the first of them. */
  onMade: (sessionId: string) => void;
}

/** What is done with the list as a whole. */
export function ListMenu({ onTemporary, onSelect, onMade }: ListMenuProps) {
  const { t } = useTranslation();
  const { upload, download } = useSessionActions();
  const [asked, setAsked] = useState<"folder" | "deleted" | null>(null);
  const close = () => {
    setAsked(null);
  };
  return (
    <>
      <Menu
        label={t("sessions.more")}
        icon={<MoreIcon />}
        items={[
          {
            label: t("sessions.temporary"),
            icon: <ClockIcon className="size-4" />,
            run: onTemporary,
          },
          {
            label: t("folders.new"),
            icon: <FolderIcon className="size-4" />,
            run: () => {
              setAsked("folder");
            },
          },
          { label: t("selection.begin"), icon: <CheckIcon className="size-4" />, run: onSelect },
          {
            label: t("sessions.import"),
            icon: <ImportIcon className="size-4" />,
            run: () => {
              upload(onMade);
            },
          },
          {
            label: t("sessions.exportAll"),
            icon: <DownloadIcon className="size-4" />,
            run: () => {
              download(null);
            },
          },
          {
            label: t("deleted.title"),
            icon: <TrashIcon className="size-4" />,
            run: () => {
              setAsked("deleted");
            },
          },
        ]}
      />
      <Suspense fallback={null}>
        {asked === "folder" && <FolderDialog folder={null} onClose={close} />}
        {asked === "deleted" && <DeletedDialog onClose={close} />}
      </Suspense>
    </>
  );
}
