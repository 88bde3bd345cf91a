import ts from "typescript";

/** What each module imports of the others, types and dynamic imports included; by path, without extension. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>;

/** `sources`: the text of each module by its path, such as "/src/app/app.tsx". */
export function importGraph(sources: Readonly<Record<string, string>>): ImportGraph {
  const names = new Set(Object.keys(sources).map(withoutExtension));
  return new Map(
    Object.entries(sources).map(([path, text]) => {
      const own = specifiersIn(text).filter((specifier) => /^(@|\.)\//.test(specifier));
      const imported = own.map((specifier) => resolve(specifier, path));
      return [withoutExtension(path), imported.filter((name) => names.has(name))];
    }),
  );
}

/** The modules of an import cycle, the first one again at the end; null if there is none. */
export function findCycle(graph: ImportGraph): string[] | null {
  const done = new Set<string>();
  const path: string[] = [];

  function visit(name: string): string[] | null {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return null;
    path.push(name);
    for (const imported of graph.get(name) ?? []) {
      const cycle = visit(imported);
      if (cycle) return cycle;
    }
    path.pop();
    done.add(name);
    return null;
  }

  for (const name of graph.keys()) {
    const cycle = visit(name);
    if (cycle) return cycle;
  }
  return null;
}

function specifiersIn(text: string): string[] {
  const found: string[] = [];
  const visit = (node: ts.Node) => {
    const specifier = specifierOf(node);
    if (specifier && ts.isStringLiteralLike(specifier)) found.push(specifier.text);
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile("module.tsx", text, ts.ScriptTarget.Latest));
  return found;
}

function specifierOf(node: ts.Node): ts.Node | undefined {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node)) return ts.isLiteralTypeNode(node.argument) ? node.argument.literal : undefined;
  const dynamic = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  return dynamic ? node.arguments[0] : undefined;
}

function resolve(specifier: string, from: string): string {
  const path = specifier.startsWith("@/") ? specifier.replace("@", "/src") : specifier;
  return withoutExtension(new URL(path, `file://${from}`).pathname);
}

function withoutExtension(path: string): string {
  return path.replace(/\.tsx?$/, "");
}
