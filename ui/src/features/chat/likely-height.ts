const letters = 80;
const linePx = 26;
const aroundPx = 48;

/** How high a text will be, about: until a message has been in sight, this much is kept for it. */
export function likelyHeight(text: string): number {
  let lines = 0;
  for (const line of text.split("\n")) lines += Math.max(1, Math.ceil(line.length / letters));
  return lines * linePx + aroundPx;
}
