import type { Root } from "mdast";
import { memo, useMemo, type ReactNode } from "react";
import { useTranslation } from "react-i18next";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import remend from "remend";

import { CodeBlock } from "@/components/markdown/code-block";
import { PlainCode, InlineCode } from "@/components/markdown/inline-code";
import { isSafeUrl } from "@/components/markdown/safe-url";
import { splitBlocks } from "@/components/markdown/split-blocks";
import { useHighlighter, type Highlighter } from "@/components/markdown/use-highlighter";
import { ImageIcon } from "@/components/icons";

import "@/components/markdown/markdown.css";

/** A block of raw HTML becomes a paragraph that shows it. */
function htmlAsText() {
  return (tree: Root) => {
    tree.children = tree.children.map((node) =>
      node.type === "html"
        ? {
            type: "paragraph",
            children: [{ type: "text", value: node.value }],
            data: { hProperties: { className: ["whitespace-pre-wrap"] } },
          }
        : node,
    );
  };
}

const remarkPlugins = [remarkGfm, htmlAsText];

/** Headings keep their look; to the page's outline they all stand right below its title. */
function heading(level: number) {
  return function Heading({ children }: { children?: ReactNode }) {
    return <h2 className={`heading-${level}`}>{children}</h2>;
  };
}

/** Nothing is fetched from elsewhere unless the person asks for it. */
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

function TableFrame({ children }: { children?: ReactNode }) {
  const { t } = useTranslation();
  return (
    <div className="table-frame" tabIndex={0} role="group" aria-label={t("markdown.table")}>
      <table>{children}</table>
    </div>
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

const components: Components = {
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
  pre({ node, children }) {
    const code = node?.children[0];
    const names: unknown = code?.type === "element" ? code.properties.className : null;
    return (
      <CodeBlock language={languageOf(names)}>
        <PlainCode value={true}>{children}</PlainCode>
      </CodeBlock>
    );
  },
  code: ({ className, children }) => <InlineCode className={className}>{children}</InlineCode>,
  table: ({ children }) => <TableFrame>{children}</TableFrame>,
  input: ({ checked }) => <TaskMark done={checked === true} />,
};

function languageOf(classNames: unknown): string | null {
  if (!Array.isArray(classNames)) return null;
  const prefix = "language-";
  for (const name of classNames as unknown[]) {
    if (typeof name === "string" && name.startsWith(prefix)) return name.slice(prefix.length);
  }
  return null;
}

interface BlockProps {
  text: string;
  highlighter: Highlighter | null;
}

/** One settled or growing block; a settled one is never rendered again. */
const Block = memo(function Block({ text, highlighter }: BlockProps) {
  return (
    <ReactMarkdown
      remarkPlugins={remarkPlugins}
      rehypePlugins={highlighter ?? []}
      components={components}
      urlTransform={(url) => (isSafeUrl(url) ? url : null)}
    >
      {text}
    </ReactMarkdown>
  );
});

interface MarkdownBlocksProps {
  text: string;
  growing: boolean;
}

export function MarkdownBlocks({ text, growing }: MarkdownBlocksProps) {
  const blocks = useMemo(() => splitBlocks(text), [text]);
  const highlighter = useHighlighter(/^[\s>]*(?:```|~~~)/m.test(text));
  return (
    <div className="markdown">
      {blocks.map((block, index) => {
        // Marks that are opened and not closed yet would flicker as bare asterisks.
        const shown = growing && index === blocks.length - 1 ? remend(block) : block;
        return <Block key={index} text={shown} highlighter={highlighter} />;
      })}
    </div>
  );
}
