import { createContext, use, useEffect, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { copyText } from "@/lib/clipboard";

/** Set inside links, where a click follows the link instead of copying. */
export const PlainCode = createContext(false);

const shownMs = 1200;

/** Inline code: a click copies it, unless it was a selection. */
export function InlineCode({ children }: { children?: ReactNode }) {
  if (use(PlainCode)) return <code>{children}</code>;
  return <CopiedCode>{children}</CopiedCode>;
}

function CopiedCode({ children }: { children?: ReactNode }) {
  const { t } = useTranslation();
  const [copied, setCopied] = useState(false);

  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => {
      setCopied(false);
    }, shownMs);
    return () => {
      clearTimeout(timer);
    };
  }, [copied]);

  const copy = async (text: string) => {
    if (getSelection()?.isCollapsed === false) return;
    setCopied(await copyText(text));
  };
  return (
    <>
      <code
        role="button"
        tabIndex={0}
        title={copied ? t("copy.copied") : t("copy.inlineCode")}
        data-copied={copied || undefined}
        onClick={(event) => void copy(event.currentTarget.textContent)}
        onKeyDown={(event) => {
          if (event.key !== "Enter" && event.key !== " ") return;
          event.preventDefault();
          void copy(event.currentTarget.textContent);
        }}
      >
        {children}
      </code>
      {copied && (
        <span role="status" className="sr-only">
          {t("copy.copied")}
        </span>
      )}
    </>
  );
}
