const safeSchemes = new Set(["http:", "https:", "mailto:"]);

/** Whether a link in a model's text is safe to follow: absolute, with a harmless scheme. */
export function isSafeUrl(url: string): boolean {
  try {
    return safeSchemes.has(new URL(url).protocol);
  } catch {
    return false;
  }
}
