import rehypeHighlight from "rehype-highlight";

import type { Highlighter } from "@/components/markdown/use-highlighter";

import "highlight.js/styles/github-dark.css";

/**
 * Only fences that name their language are coloured: guessing costs time and is often wrong. Made
 * once: it learns all its languages when it is made, and would do so for each block of each frame.
 */
const colour = rehypeHighlight({ detect: false });

/** Told of languages that it does not know; their code is plain. */
const unheard = { message: () => undefined } as unknown as Parameters<typeof colour>[1];

export const highlighter: Highlighter = (tree) => {
  colour(tree, unheard);
};
