import { useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { CopyButton } from "@/components/copy-button";
import { tableCsv } from "@/components/markdown/table-csv";

/** A table that scrolls if it is too wide, and can be copied. */
export function TableFrame({ children }: { children?: ReactNode }) {
  const { t } = useTranslation();
  const table = useRef<HTMLTableElement>(null);
  return (
    <div className="table-block">
      <div className="table-frame" tabIndex={0} role="group" aria-label={t("markdown.table")}>
        <table ref={table}>{children}</table>
      </div>
      <div className="table-copy">
        <CopyButton
          label={t("copy.table")}
          className="size-8"
          text={() => (table.current ? tableCsv(table.current) : "")}
        />
      </div>
    </div>
  );
}
