/** Whether the browser fits a text area to its text: see `field-sizing-content`. */
const byItself = CSS.supports("field-sizing", "content");

/**
 * Makes a text area as high as its text, if the browser doesn't; its max-height still applies. Forces two
 * layouts of the whole page.
 */
export function fitHeight(area: HTMLTextAreaElement) {
  if (byItself) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
