/** Makes a text area as high as its text; its own max-height holds. */
export function fitHeight(area: HTMLTextAreaElement) {
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight}px`;
}
