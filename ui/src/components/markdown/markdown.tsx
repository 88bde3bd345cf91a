import { lazy, Suspense } from "react";

const load = () => import("@/components/markdown/markdown-blocks");

const MarkdownBlocks = lazy(async () => ({ default: (await load()).MarkdownBlocks }));

/** Fetches the renderer ahead of the first text, once the page is painted. */
export function preloadMarkdown() {
  setTimeout(() => void load().catch(() => undefined), 0);
}

interface MarkdownProps {
  text: string;
  /** The text still grows. */
  growing?: boolean;
}

/** A model's Markdown. Until the renderer is here, the text is shown as it is. */
export function Markdown({ text, growing = false }: MarkdownProps) {
  return (
    <Suspense fallback={<div className="markdown whitespace-pre-wrap">{text}</div>}>
      <MarkdownBlocks text={text} growing={growing} />
    </Suspense>
  );
}
