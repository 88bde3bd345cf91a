const safeSchemes = new Set(["http:", "https:", "mailto:"]);

/** Whether a link out of a model's text may be followed: absolute, and of a harmless scheme. */
export function isSafeUrl(url: string): boolean {
  try {
    return safeSchemes.has(new URL(url).protocol);
  } catch {
    return false;
  }
}
