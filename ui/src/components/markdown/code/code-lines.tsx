import type { ElementContent } from "hast";

import type { CodePart } from "@/components/markdown/code/code-parts";
import { CodeText } from "@/components/markdown/code/code-text";

/** Highlighted code, each line an element, which CSS numbers. */
export function CodeLines({ parts }: { parts: readonly CodePart[] }) {
  return parts.map((part, index) => (
    <span key={index}>
      {linesOf(part).map((line, at) => (
        <span key={at} className="line">
          <CodeText parts={[line]} />
        </span>
      ))}
    </span>
  ));
}

/** The nodes of each line, with its line end; what spans lines is repeated in each. */
export function linesOf(nodes: readonly ElementContent[]): ElementContent[][] {
  const lines: ElementContent[][] = [];
  let ended = true;
  const add = (node: ElementContent, ends: boolean) => {
    if (ended) lines.push([]);
    lines.at(-1)?.push(node);
    ended = ends;
  };
  for (const node of nodes) {
    if (node.type === "text") {
      for (const value of node.value.match(/[^\n]*\n|[^\n]+$/g) ?? []) {
        add({ type: "text", value }, value.endsWith("\n"));
      }
    } else if (node.type === "element") {
      for (const children of linesOf(node.children)) {
        add({ ...node, children }, endsLine(children));
      }
    }
  }
  return lines;
}

function endsLine(nodes: readonly ElementContent[]): boolean {
  const last = nodes.at(-1);
  if (last?.type === "text") return last.value.endsWith("\n");
  return last?.type === "element" && endsLine(last.children);
}
