import type { Root } from "mdast";
import { memo, useMemo, type ReactNode } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import remend from "remend";

import { CodeBlock } from "@/components/markdown/code-block";
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
        {children}
      </a>
    );
  },
  // Nothing is fetched from elsewhere unless the person asks for it.
  img({ src, alt }) {
    const name = alt ?? "";
    if (typeof src !== "string" || !isSafeUrl(src)) return <span>{name}</span>;
    return (
      <a href={src} target="_blank" rel="noopener noreferrer" className="image-link">
        <ImageIcon className="size-4" />
        <span>
          Open image{name && `: ${name}`} ({new URL(src).host})
        </span>
      </a>
    );
  },
  pre({ node, children }) {
    const code = node?.children[0];
    const names: unknown = code?.type === "element" ? code.properties.className : null;
    return <CodeBlock language={languageOf(names)}>{children}</CodeBlock>;
  },
  table({ children }) {
    return (
      <div className="table-frame" tabIndex={0} role="group" aria-label="Table">
        <table>{children}</table>
      </div>
    );
  },
  input({ checked }) {
    return (
      <span role="img" aria-label={checked ? "Done" : "To do"} className="task">
        {checked ? "☑" : "☐"}
      </span>
    );
  },
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
