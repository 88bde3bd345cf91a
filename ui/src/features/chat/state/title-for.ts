const most = 60;

/** A chat's title from its first message: the first line with words, shortened between words. */
export function titleFor(content: string): string {
  const lines = content.split("\n").map((line) => line.replace(/^[#>*\s-]+/, "").trim());
  const line = lines.find((text) => text !== "") ?? "";
  if (line.length <= most) return line;
  const cut = line.slice(0, most);
  const space = cut.lastIndexOf(" ");
  return `${(space > most / 2 ? cut.slice(0, space) : cut).replace(/[\s,;:.\uD800-\uDBFF]+$/, "")}…`;
}
