import { createContext, use, useEffect, useState, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { copyText } from "@/lib/clipboard";

/** Inside a link a press follows the link: code is only code. */
export const PlainCode = createContext(false);

const shownMs = 1200;

/** A piece of code in a sentence: a press copies it, unless the press was to select some of it. */
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
