import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { IconButton } from "@/components/button";
import { CloseIcon } from "@/components/icons";

interface DialogHeadProps {
  /** Of the title, for `aria-labelledby`. */
  id: string;
  title: string;
  onClose: () => void;
  /** Buttons before the one that closes. */
  children?: ReactNode;
}

/** The title line of a dialog that fills most of the page. */
export function DialogHead({ id, title, onClose, children }: DialogHeadProps) {
  const { t } = useTranslation();
  return (
    <div className="flex items-center gap-1 border-b border-line py-2 ps-5 pe-2">
      <h2 id={id} className="flex-1 text-base font-semibold">
        {title}
      </h2>
      {children}
      <IconButton label={t("app.close")} onClick={onClose}>
        <CloseIcon />
      </IconButton>
    </div>
  );
}
