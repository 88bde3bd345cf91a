const letters = 80;
const linePx = 26;
const aroundPx = 48;

/** The approximate height of a text, in pixels: reserved until a message has been rendered. */
export function estimateHeight(text: string): number {
  let lines = 0;
  for (const line of text.split("\n")) lines += Math.max(1, Math.ceil(line.length / letters));
  return lines * linePx + aroundPx;
}
