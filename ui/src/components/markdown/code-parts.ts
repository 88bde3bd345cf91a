import type { Element, ElementContent } from "hast";

/** Letters after which a part ends, at the next end of a line. */
const enough = 600;

/** What is put onto the page as one. */
export type CodePart = readonly ElementContent[];

/** Coloured code in parts. Code that grows keeps all but its last one, and they begin with a line. */
export function partsOf(nodes: readonly ElementContent[]): CodePart[] {
  const parts: CodePart[] = [];
  let part: ElementContent[] = [];
  let room = enough;
  const add = (node: ElementContent) => {
    part.push(node);
    room -= lettersOf([node]);
  };
  for (const node of nodes) {
    let rest = node;
    while (rest.type === "text") {
      const end = rest.value.indexOf("\n", Math.max(0, room - 1)) + 1;
      if (end === 0) break;
      add({ type: "text", value: rest.value.slice(0, end) });
      parts.push(part);
      part = [];
      room = enough;
      rest = { type: "text", value: rest.value.slice(end) };
    }
    if (rest.type !== "text" || rest.value !== "") add(rest);
  }
  if (part.length > 0) parts.push(part);
  return parts;
}

export function lettersOf(nodes: CodePart): number {
  return nodes.reduce((sum, node) => {
    if (node.type === "text") return sum + node.value.length;
    return node.type === "element" ? sum + lettersOf(node.children) : sum;
  }, 0);
}

export function classOf(node: Element): string | undefined {
  const { className } = node.properties;
  return Array.isArray(className) ? className.join(" ") : undefined;
}
