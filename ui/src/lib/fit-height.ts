/** Whether a text area can be as high as its text by itself: see `field-sizing-content`. */
const byItself = CSS.supports("field-sizing", "content");

/**
 * Makes a text area as high as its text, where the browser doesn't do so; its own max-height holds.
 * It has the whole page laid out, twice.
 */
export function fitHeight(area: HTMLTextAreaElement) {
  if (byItself) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
