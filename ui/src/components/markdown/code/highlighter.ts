import type { Root } from "hast";
import rehypeHighlight from "rehype-highlight";

import "highlight.js/styles/github-dark.css";

/** Highlights the code in a tree. */
export type Highlighter = (tree: Root) => void;

/**
 * Only fences that name their language are highlighted: guessing takes time and is often wrong. Created
 * once, because it registers all its languages then.
 */
const highlight = rehypeHighlight({ detect: false });

/** Ignores messages about unknown languages; their code stays plain. */
const silentFile = { message: () => undefined } as unknown as Parameters<typeof highlight>[1];

export const highlighter: Highlighter = (tree) => {
  highlight(tree, silentFile);
};
