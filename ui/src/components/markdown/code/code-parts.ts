import type { Element, ElementContent } from "hast";

/** Characters after which a part ends, at the next line end. */
const maxCharacters = 600;

/** Nodes that are rendered together. */
export type CodePart = readonly ElementContent[];

/** Highlighted code in parts, each beginning a line. While it grows, all but the last stay the same. */
export function partsOf(nodes: readonly ElementContent[]): CodePart[] {
  const parts: CodePart[] = [];
  let part: ElementContent[] = [];
  let room = maxCharacters;
  const add = (node: ElementContent) => {
    part.push(node);
    room -= textLength([node]);
  };
  for (const node of nodes) {
    let rest = node;
    while (rest.type === "text") {
      const end = rest.value.indexOf("\n", Math.max(0, room - 1)) + 1;
      if (end === 0) break;
      add({ type: "text", value: rest.value.slice(0, end) });
      parts.push(part);
      part = [];
      room = maxCharacters;
      rest = { type: "text", value: rest.value.slice(end) };
    }
    if (rest.type !== "text" || rest.value !== "") add(rest);
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

export function textLength(nodes: CodePart): number {
  return nodes.reduce((sum, node) => {
    if (node.type === "text") return sum + node.value.length;
    return node.type === "element" ? sum + textLength(node.children) : sum;
  }, 0);
}

export function classOf(node: Element): string | undefined {
  const { className } = node.properties;
  return Array.isArray(className) ? className.join(" ") : undefined;
}

export function textOf(nodes: CodePart): string {
  return nodes
    .map((node) => {
      if (node.type === "text") return node.value;
      return node.type === "element" ? textOf(node.children) : "";
    })
    .join("");
}
