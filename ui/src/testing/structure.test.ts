import { describe, expect, it } from "vitest";

import { findCycle, importGraph } from "@/testing/import-graph";

const sources = import.meta.glob<string>("/src/**/*.{ts,tsx}", {
  query: "?raw",
  import: "default",
  eager: true,
});

const mostInAFolder = 25;

describe("imports", () => {
  it("have no cycle", () => {
    const graph = importGraph(sources);
    expect(graph.get("/src/app/main")).toContain("/src/app/app");
    expect(findCycle(graph)).toBeNull();
  });

  it("would be found in a cycle, of types and of dynamic imports as well", () => {
    const graph = importGraph({
      "/src/main.ts": 'import { one } from "@/a/one";',
      "/src/a/one.tsx": 'export const one = () => import("./two");',
      "/src/a/two.ts": 'export * from "@/three";',
      "/src/three.ts": 'import type { One } from "@/a/one";',
    });
    expect(findCycle(graph)).toEqual(["/src/a/one", "/src/a/two", "/src/three", "/src/a/one"]);
  });

  it("may meet in a module without being a cycle", () => {
    const graph = importGraph({
      "/src/main.ts": 'import "@/one"; import "@/two";',
      "/src/one.ts": 'import "@/two"; import "react";',
      "/src/two.ts": "",
    });
    expect(findCycle(graph)).toBeNull();
  });
});

it(`no folder has more than ${mostInAFolder} entries`, () => {
  const entries = new Map<string, Set<string>>();
  for (const path of Object.keys(import.meta.glob("/src/**/*"))) {
    const parts = path.split("/");
    for (let depth = 2; depth < parts.length; depth++) {
      const folder = parts.slice(0, depth).join("/");
      entries.set(folder, (entries.get(folder) ?? new Set()).add(parts[depth] ?? ""));
    }
  }
  const full = [...entries].filter(([, names]) => names.size > mostInAFolder);
  expect(full.map(([folder]) => folder)).toEqual([]);
  expect(entries.get("/src/features")?.size).toBeGreaterThan(1);
});
