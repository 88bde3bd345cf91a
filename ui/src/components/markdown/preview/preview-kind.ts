export type PreviewKind = "html" | "svg" | "mermaid";

/** As what a piece of code can be shown; null if it can only be read. */
export function previewKind(language: string | null, code: string): PreviewKind | null {
  const drawing = /^\s*(?:<\?xml[^>]*>\s*)?<svg[\s>]/i.test(code);
  if (language === "mermaid") return "mermaid";
  if (language === "svg" || (drawing && (language === "xml" || language === "html"))) return "svg";
  return language === "html" ? "html" : null;
}
