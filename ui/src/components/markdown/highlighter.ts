import rehypeHighlight from "rehype-highlight";

import type { Highlighter } from "@/components/markdown/use-highlighter";

import "highlight.js/styles/github-dark.css";

/**
 * Only fences that name their language are coloured: guessing costs time and is often wrong. Made
 * once: it learns all its languages when it is made, and would do so for each block of each frame.
 */
const colour = rehypeHighlight({ detect: false });

export const highlighter: Highlighter = [() => colour];
