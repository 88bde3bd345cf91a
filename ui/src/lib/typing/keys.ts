/**
 * Whether a key belongs to an input method, which suggests what is being typed. WebKit reports the Enter
 * that accepts a suggestion after the end of the composition: only its key code differs then.
 */
export function isComposing(event: KeyboardEvent): boolean {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- nothing else has it in WebKit
  return event.isComposing || event.keyCode === 229;
}

/** Whether a screen keyboard is the usual one: its Enter makes a new line. */
export function isTouched(): boolean {
  return matchMedia("(pointer: coarse)").matches;
}

/** Whether the key sends what was written; with Ctrl or Command, Enter always does. */
export function isSendKey(event: KeyboardEvent): boolean {
  if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return false;
  return event.ctrlKey || event.metaKey || !isTouched();
}
