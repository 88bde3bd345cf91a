import { useTranslation } from "react-i18next";

import { mainId } from "@/app/layout";
import { inputId } from "@/features/chat/components/composer";

/** The first stop of the Tab key: past the list of chats, which may be long. */
export function SkipLink({ toInput }: { toInput: boolean }) {
  const { t } = useTranslation();
  const target = toInput ? inputId : mainId;
  return (
    <a
      href={`#${target}`}
      onClick={(event) => {
        // The address after # is the page's own.
        event.preventDefault();
        document.getElementById(target)?.focus();
      }}
      className="sr-only focus:not-sr-only focus:fixed focus:start-3 focus:top-3 focus:z-30 focus:rounded-control focus:bg-raised focus:px-4 focus:py-2 focus:text-sm focus:shadow-float"
    >
      {toInput ? t("app.skip") : t("app.skipToPage")}
    </a>
  );
}
