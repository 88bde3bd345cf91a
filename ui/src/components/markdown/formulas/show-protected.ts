import type { Nodes, Parent, PhrasingContent, Root, Text } from "mdast";

import { restore, splitProtected, type Part } from "@/components/markdown/formulas/protect";

type Tag = Part & { kind: "tag" };
type Piece = PhrasingContent | Tag;

/** A remark plugin: protected formulas and tags become elements in text, and their source elsewhere. */
export function showProtected() {
  return (tree: Root) => {
    show(tree);
  };
}

function show(node: Nodes) {
  if (node.type === "code" || node.type === "inlineCode" || node.type === "html") {
    node.value = restore(node.value);
  }
  if (node.type === "link" || node.type === "image" || node.type === "definition") {
    node.url = restore(node.url);
    if (node.title) node.title = restore(node.title);
  }
  if ((node.type === "image" || node.type === "imageReference") && node.alt) {
    node.alt = restore(node.alt);
  }
  if (!("children" in node)) return;
  const pieces: Piece[] = [];
  for (const child of node.children) {
    if (child.type === "text") pieces.push(...piecesOf(child.value));
    else {
      show(child);
      pieces.push(child as PhrasingContent);
    }
  }
  (node as Parent).children = paired(pieces);
}

function piecesOf(value: string): Piece[] {
  return splitProtected(value).map((part): Piece => {
    if (part.kind === "tag") return part;
    return part.kind === "text" ? text(part.text) : formula(part);
  });
}

function text(value: string): Text {
  return { type: "text", value };
}

/** An element of mdast, as what remark-rehype makes of it. */
function element(
  hName: string,
  children: PhrasingContent[],
  hProperties: Record<string, string> = {},
): PhrasingContent {
  return { type: "emphasis", children, data: { hName, hProperties } };
}

function formula({ tex, display, source }: Part & { kind: "formula" }): PhrasingContent {
  return element("data", [], { value: tex, title: source, ...(display ? { dataDisplay: "" } : {}) });
}

/** Tags around what stands between them; those without a counterpart are text. */
function paired(pieces: readonly Piece[]): PhrasingContent[] {
  const out: Piece[] = [];
  const open: { name: string; at: number }[] = [];
  for (const piece of pieces) {
    if (!("kind" in piece)) {
      out.push(piece);
    } else if (piece.name === "br") {
      out.push(piece.closing ? piece : { type: "break" });
    } else if (!piece.closing) {
      open.push({ name: piece.name, at: out.length });
      out.push(piece);
    } else {
      const index = open.findLastIndex(({ name }) => name === piece.name);
      const opening = open[index];
      if (!opening) {
        out.push(piece);
        continue;
      }
      open.length = index;
      const inner = out.splice(opening.at).slice(1);
      out.push(element(piece.name, inner.map(asText)));
    }
  }
  return out.map(asText);
}

function asText(piece: Piece): PhrasingContent {
  return "kind" in piece ? text(piece.source) : piece;
}
