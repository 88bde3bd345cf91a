import type { FootnoteReference } from "mdast";
import type { Options } from "react-markdown";

import { nameOf, noteLine } from "@/components/markdown/split-blocks";

export interface Footnote {
  name: string;
  /** Markdown, without the marks that make it a footnote. */
  text: string;
}

/** The footnotes among the blocks of a text; the first one of a name counts. */
export function notesOf(blocks: readonly string[]): Footnote[] {
  const notes = new Map<string, Footnote>();
  for (const block of blocks) {
    const name = noteLine.exec(block)?.[1];
    if (name === undefined || notes.has(nameOf(name))) continue;
    const text = block.replace(noteLine, "").replace(/^(?: {4}|\t)/gm, "");
    notes.set(nameOf(name), { name, text });
  }
  return [...notes.values()];
}

/** A definition with its number for each of them: all that a block needs to refer to it. */
export function numbersOf(notes: readonly Footnote[]): string {
  return notes.map(({ name }, index) => `[^${name}]: ${index + 1}\n`).join("");
}

/** A reference shows its number; blocks do not list footnotes of their own. */
export const noteNumbers: NonNullable<Options["remarkRehypeOptions"]> = {
  handlers: {
    footnoteReference(state, node: FootnoteReference) {
      const note = state.footnoteById.get(node.identifier.toUpperCase())?.children[0];
      return {
        type: "element",
        tagName: "sup",
        properties: {},
        children: note ? state.all(note) : [],
      };
    },
  },
};
