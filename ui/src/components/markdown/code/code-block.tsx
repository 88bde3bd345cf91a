import { useRef, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { CopyButton } from "@/components/copy-button";

interface CodeBlockProps {
  language: string | null;
  children: ReactNode;
}

export function CodeBlock({ language, children }: CodeBlockProps) {
  const { t } = useTranslation();
  const ref = useRef<HTMLPreElement>(null);
  const name = language ?? t("markdown.plain");
  return (
    <figure className="code-block" aria-label={t("markdown.code", { language: name })} dir="ltr">
      <figcaption>
        <span>{name}</span>
        <CopyButton
          label={t("copy.code")}
          className="size-8"
          text={() => ref.current?.textContent.replace(/\n$/, "") ?? ""}
        />
      </figcaption>
      <pre ref={ref} tabIndex={0}>
        {children}
      </pre>
    </figure>
  );
}
