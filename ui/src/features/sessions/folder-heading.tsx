import { useTranslation } from "react-i18next";

import type { Folder } from "@/api/types";
import { FolderIcon, MoreIcon, PencilIcon, PlusIcon, TrashIcon } from "@/components/icons";
import { Menu } from "@/components/menu";
import { classNames } from "@/lib/class-names";

interface FolderHeadingProps {
  folder: Folder;
  count: number;
  open: boolean;
  onToggle: () => void;
  onNew: (folderId: string) => void;
  onChange: (folder: Folder) => void;
  onDelete: (folder: Folder) => void;
}

/** A folder: opened and closed by a click. */
export function FolderHeading(props: FolderHeadingProps) {
  const { folder, count, open, onToggle, onNew, onChange, onDelete } = props;
  const { t } = useTranslation();
  return (
    <h2 className="group relative flex items-center pb-px">
      <button
        type="button"
        aria-expanded={open}
        onClick={onToggle}
        className="flex h-9 min-w-0 flex-1 items-center gap-2 rounded-control px-3 text-start text-sm text-muted hover:bg-hover hover:text-text pointer-coarse:h-11"
      >
        <FolderIcon className={classNames("size-4", open && "text-text")} />
        <span dir="auto" className="truncate">
          {folder.name}
        </span>
        <span className="ms-auto ps-1 text-xs text-faint tabular-nums group-focus-within:opacity-0 group-hover:opacity-0 pointer-coarse:opacity-100">
          {count}
        </span>
      </button>
      <div className="not-pointer-coarse:absolute not-pointer-coarse:end-0 not-pointer-coarse:pe-1 not-pointer-coarse:opacity-0 group-hover:opacity-100 focus-within:opacity-100 has-aria-expanded:opacity-100">
        <Menu
          label={t("folders.menu", { name: folder.name })}
          icon={<MoreIcon />}
          className="size-7 pointer-coarse:size-10 pointer-coarse:text-line-bold"
          items={[
            {
              label: t("folders.newChat"),
              icon: <PlusIcon className="size-4" />,
              run: () => {
                onNew(folder.id);
              },
            },
            {
              label: t("folders.change"),
              icon: <PencilIcon className="size-4" />,
              run: () => {
                onChange(folder);
              },
            },
            {
              label: t("folders.delete"),
              icon: <TrashIcon className="size-4" />,
              danger: true,
              run: () => {
                onDelete(folder);
              },
            },
          ]}
        />
      </div>
    </h2>
  );
}
