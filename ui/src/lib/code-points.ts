/** The server counts Unicode code points; JavaScript strings count UTF-16 units. */

export function codePointLength(text: string): number {
  let length = 0;
  for (let at = 0; at < text.length; length += 1) {
    at += (text.codePointAt(at) ?? 0) > 0xffff ? 2 : 1;
  }
  return length;
}

/** `text` without its first `count` code points. */
export function dropCodePoints(text: string, count: number): string {
  let units = 0;
  let left = count;
  for (const char of text) {
    if (left === 0) break;
    units += char.length;
    left -= 1;
  }
  return text.slice(units);
}
