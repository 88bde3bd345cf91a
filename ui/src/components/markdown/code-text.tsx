import type { Element, ElementContent } from "hast";
import { memo, type ReactNode } from "react";

/** Letters that are put onto the page as one. */
const enough = 800;

/** Coloured code. Of code that grows, only its last part is rendered again. */
export function CodeText({ nodes }: { nodes: readonly ElementContent[] }) {
  return partsOf(nodes).map((part, index) => <Part key={index} nodes={part} />);
}

const Part = memo(
  function Part({ nodes }: { nodes: readonly ElementContent[] }) {
    return nodes.map(shown);
  },
  (before, after) => sameNodes(before.nodes, after.nodes),
);

function shown(node: ElementContent, index: number): ReactNode {
  if (node.type === "text") return node.value;
  if (node.type !== "element") return null;
  return (
    <span key={index} className={classOf(node)}>
      {lettersOf(node) > enough ? <CodeText nodes={node.children} /> : node.children.map(shown)}
    </span>
  );
}

function partsOf(nodes: readonly ElementContent[]): ElementContent[][] {
  const parts: ElementContent[][] = [];
  let room = 0;
  for (const node of nodes) {
    if (room <= 0) {
      parts.push([]);
      room = enough;
    }
    parts.at(-1)?.push(node);
    room -= lettersOf(node);
  }
  return parts;
}

function lettersOf(node: ElementContent): number {
  if (node.type === "text") return node.value.length;
  return node.type === "element" ? node.children.reduce((sum, one) => sum + lettersOf(one), 0) : 0;
}

function sameNodes(before: readonly ElementContent[], after: readonly ElementContent[]): boolean {
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

function classOf(node: Element): string | undefined {
  const { className } = node.properties;
  return Array.isArray(className) ? className.join(" ") : undefined;
}
