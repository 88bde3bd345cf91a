const endings: Record<string, string> = {
  bash: "sh",
  "c++": "cpp",
  csharp: "cs",
  "c#": "cs",
  javascript: "js",
  jsonc: "json",
  kotlin: "kt",
  latex: "tex",
  markdown: "md",
  mermaid: "mmd",
  perl: "pl",
  powershell: "ps1",
  python: "py",
  ruby: "rb",
  rust: "rs",
  shell: "sh",
  text: "txt",
  typescript: "ts",
  yaml: "yaml",
  zsh: "sh",
};

/** The ending of a file in this language. */
export function fileEnding(language: string | null): string {
  const name = language?.toLowerCase() ?? "text";
  return endings[name] ?? (/^[a-z][a-z0-9]{0,9}$/.test(name) ? name : "txt");
}
