/** The rows of a table that is on the page, as RFC 4180 has them. */
export function tableCsv(table: HTMLTableElement): string {
  return Array.from(table.rows, (row) =>
    Array.from(row.cells, (cell) => quoted(textOf(cell))).join(","),
  )
    .map((row) => `${row}\r\n`)
    .join("");
}

/** A cell's text; formulas as they were written. */
function textOf(cell: HTMLElement): string {
  const copy = cell.cloneNode(true) as HTMLElement;
  for (const formula of copy.querySelectorAll(".formula")) {
    formula.textContent = formula.querySelector("annotation")?.textContent ?? "";
  }
  for (const lineEnd of copy.querySelectorAll("br")) lineEnd.replaceWith("\n");
  return copy.textContent.trim().replace(/\n+/g, "\n");
}

function quoted(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
