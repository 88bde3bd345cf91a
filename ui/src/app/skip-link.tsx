import { useTranslation } from "react-i18next";

import { inputId } from "@/features/chat/components/composer";

/** The first stop of the Tab key: past the list of chats, which may be long. */
export function SkipLink() {
  const { t } = useTranslation();
  return (
    <a
      href={`#${inputId}`}
      onClick={(event) => {
        // The address after # is the page's own.
        event.preventDefault();
        const input = document.getElementById(inputId) ?? document.querySelector("main");
        input?.focus();
      }}
      className="sr-only focus:not-sr-only focus:fixed focus:start-3 focus:top-3 focus:z-30 focus:rounded-control focus:bg-raised focus:px-4 focus:py-2 focus:text-sm focus:shadow-float"
    >
      {t("app.skip")}
    </a>
  );
}
