import rehypeHighlight from "rehype-highlight";

import type { Highlighter } from "@/components/markdown/use-highlighter";

import "highlight.js/styles/github-dark.css";

/** Only fences that name their language are coloured: guessing costs time and is often wrong. */
export const highlighter: Highlighter = [[rehypeHighlight, { detect: false }]];
