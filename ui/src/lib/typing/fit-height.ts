/** Whether the browser fits a text area to its text: see `field-sizing-content`. */
const byItself = CSS.supports("field-sizing", "content");

/** Characters, or lines, that fill any text area of the page. */
const longest = 6000;
const mostLines = 40;

/** A text that is certainly higher than the text area may be: nothing has to be measured. */
export function isLong(text: string): boolean {
  if (text.length > longest) return true;
  let lines = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) lines += 1;
  return lines > mostLines;
}

export function setText(area: HTMLTextAreaElement, text: string) {
  area.value = text;
}

/**
 * Makes a text area as high as its text, if the browser doesn't; its max-height still applies. Forces two
 * layouts of the whole page, except for long texts.
 */
export function fitHeight(area: HTMLTextAreaElement) {
  if (byItself) return;
  if (isLong(area.value)) {
    area.style.height = "";
    return;
  }
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
