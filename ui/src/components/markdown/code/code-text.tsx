import type { ElementContent } from "hast";
import { memo, type ReactNode } from "react";

import { classOf, textLength, partsOf, type CodePart } from "@/components/markdown/code/code-parts";

/** Characters that are rendered together. */
const maxCharacters = 800;

/** Highlighted code. While it grows, only its last part is rendered again. */
export function CodeText({ parts }: { parts: readonly CodePart[] }) {
  return parts.map((part, index) => <Part key={index} nodes={part} />);
}

const Part = memo(
  function Part({ nodes }: { nodes: CodePart }) {
    return nodes.map(shown);
  },
  (before, after) => sameNodes(before.nodes, after.nodes),
);

function shown(node: ElementContent, index: number): ReactNode {
  if (node.type === "text") return node.value;
  if (node.type !== "element") return null;
  return (
    <span key={index} className={classOf(node)}>
      {textLength(node.children) > maxCharacters ? (
        <CodeText parts={partsOf(node.children)} />
      ) : (
        node.children.map(shown)
      )}
    </span>
  );
}

function sameNodes(before: CodePart, after: CodePart): boolean {
  if (before === after) return true;
  return (
    before.length === after.length &&
    before.every((node, index) => {
      const other = after[index];
      if (node.type === "text") return other?.type === "text" && node.value === other.value;
      return (
        node.type === "element" &&
        other?.type === "element" &&
        classOf(node) === classOf(other) &&
        sameNodes(node.children, other.children)
      );
    })
  );
}
