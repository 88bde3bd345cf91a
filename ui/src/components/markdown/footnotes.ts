import type { FootnoteReference } from "mdast";
import type { Options } from "react-markdown";

import { nameOf, noteLine } from "@/components/markdown/split-blocks";

export interface Note {
  name: string;
  /** Markdown, without the marks that make it a footnote. */
  text: string;
}

/** The footnotes among the blocks of a text; of several with one name the first counts. */
export function notesOf(blocks: readonly string[]): Note[] {
  const notes = new Map<string, Note>();
  for (const block of blocks) {
    const name = noteLine.exec(block)?.[1];
    if (name === undefined || notes.has(nameOf(name))) continue;
    const text = block.replace(noteLine, "").replace(/^(?: {4}|\t)/gm, "");
    notes.set(nameOf(name), { name, text });
  }
  return [...notes.values()];
}

/** A definition for each of them that says its number: all that a block needs to refer to it. */
export function numbersOf(notes: readonly Note[]): string {
  return notes.map(({ name }, index) => `[^${name}]: ${index + 1}\n`).join("");
}

/** A reference shows its number, and no block has notes of its own below it. */
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
