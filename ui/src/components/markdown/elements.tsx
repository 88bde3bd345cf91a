import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import type { Components } from "react-markdown";

import { CodeBlock } from "@/components/markdown/code/code-block";
import { partsOf, textOf } from "@/components/markdown/code/code-parts";
import { InlineCode, PlainCode } from "@/components/markdown/code/inline-code";
import { Formula } from "@/components/markdown/formulas/formula";
import { isSafeUrl } from "@/components/markdown/safe-url";
import { TableFrame } from "@/components/markdown/table-frame";
import { ImageIcon } from "@/components/icons";

/** Headings differ only in style; in the page's outline, all are one level below its title. */
function heading(level: number) {
  return function Heading({ children }: { children?: ReactNode }) {
    return <h2 className={`heading-${level}`}>{children}</h2>;
  };
}

/** Images from other hosts are not loaded; a link opens them. */
function ImageLink({ src, name }: { src: string; name: string }) {
  const { t } = useTranslation();
  const { host } = new URL(src);
  return (
    <a href={src} target="_blank" rel="noopener noreferrer" className="image-link">
      <ImageIcon className="size-4" />
      <span>{name ? t("markdown.namedImage", { name, host }) : t("markdown.image", { host })}</span>
    </a>
  );
}

function TaskMark({ done }: { done: boolean }) {
  const { t } = useTranslation();
  return (
    <span role="img" aria-label={done ? t("markdown.done") : t("markdown.toDo")} className="task">
      {done ? "☑" : "☐"}
    </span>
  );
}

/** The components for Markdown's elements. */
export const elements: Components = {
  h1: heading(1),
  h2: heading(2),
  h3: heading(3),
  h4: heading(4),
  h5: heading(4),
  h6: heading(4),
  a({ href, children }) {
    if (!href || !isSafeUrl(href)) return <span>{children}</span>;
    return (
      <a href={href} target="_blank" rel="noopener noreferrer">
        <PlainCode value={true}>{children}</PlainCode>
      </a>
    );
  },
  img({ src, alt }) {
    const name = alt ?? "";
    if (typeof src !== "string" || !isSafeUrl(src)) return <span>{name}</span>;
    return <ImageLink src={src} name={name} />;
  },
  pre({ node }) {
    const code = node?.children[0];
    if (code?.type !== "element") return null;
    const { className } = code.properties;
    const names = Array.isArray(className) ? className.map(String) : [];
    return (
      <CodeBlock
        language={languageOf(names)}
        code={textOf(code.children)}
        parts={partsOf(code.children)}
        className={names.join(" ")}
      />
    );
  },
  data({ node, value, title }) {
    const display = node?.properties.dataDisplay !== undefined;
    return <Formula tex={String(value)} display={display} source={title ?? ""} />;
  },
  code: ({ children }) => <InlineCode>{children}</InlineCode>,
  table: ({ children }) => <TableFrame>{children}</TableFrame>,
  input: ({ checked }) => <TaskMark done={checked === true} />,
};

function languageOf(classNames: readonly string[]): string | null {
  const prefix = "language-";
  return classNames.find((name) => name.startsWith(prefix))?.slice(prefix.length) ?? null;
}
