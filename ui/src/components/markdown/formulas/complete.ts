const groups =
  /\\begin\{([^{}]*)\}|\\end\{[^{}]*\}|\\left(?![a-z])|\\right(?![a-z])|\\[^]|[{}]/gi;

/** Beginnings of a formula that may be whole, the longest first: all but the first are guesses. */
export function completions(tex: string): string[] {
  const cut = tex.replace(/(?:\\[a-z]*|[\^_]|&|\\(?:left|right|big+)\s*\S?)\s*$/i, "");
  const line = tex.slice(0, Math.max(tex.lastIndexOf("\\\\"), 0));
  return [tex, closed(tex), closed(cut), ...(line === "" ? [] : [closed(line)])];
}

/** With all groups and environments closed. */
function closed(tex: string): string {
  const open: string[] = [];
  for (const [found, name] of tex.matchAll(groups)) {
    if (found === "{") open.push("}");
    else if (name !== undefined) open.push(`\\end{${name}}`);
    else if (found === "\\left") open.push("\\right.");
    else if (found === "}" || found.startsWith("\\end") || found === "\\right") open.pop();
  }
  return tex + open.reverse().join("");
}
