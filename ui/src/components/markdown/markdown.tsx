import { lazy, Suspense } from "react";

const load = () => import("@/components/markdown/markdown-blocks");

const MarkdownBlocks = lazy(async () => ({ default: (await load()).MarkdownBlocks }));

/** Loads the renderer before the first text, once the page is painted. */
export function preloadMarkdown() {
  setTimeout(() => void load().catch(() => undefined), 0);
}

interface MarkdownProps {
  text: string;
  /** The text is still growing. */
  growing?: boolean;
}

/** A model's Markdown; plain text until the renderer is loaded. */
export function Markdown({ text, growing = false }: MarkdownProps) {
  return (
    <Suspense fallback={<div className="markdown whitespace-pre-wrap">{text}</div>}>
      <MarkdownBlocks text={text} growing={growing} />
    </Suspense>
  );
}
