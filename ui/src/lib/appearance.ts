/** Light or dark. */
export const themes = ["system", "light", "dark"] as const;

export type Theme = (typeof themes)[number];

/** How large the text of messages is, and how long its lines. */
export const textSizes = ["small", "medium", "large", "huge"] as const;
export const textWidths = ["medium", "wide", "full"] as const;

export type TextSize = (typeof textSizes)[number];
export type TextWidth = (typeof textWidths)[number];

export function showText(size: TextSize, width: TextWidth) {
  document.documentElement.dataset.textSize = size;
  document.documentElement.dataset.textWidth = width;
}

const darkSystem = () => matchMedia("(prefers-color-scheme: dark)");

/** Applies a theme, and follows the system if it is "system", until the returned function is called. */
export function showTheme(theme: Theme): () => void {
  const root = document.documentElement;
  const system = darkSystem();
  const paint = () => {
    const dark = theme === "dark" || (theme === "system" && system.matches);
    root.dataset.theme = dark ? "dark" : "light";
    const ground = getComputedStyle(root).getPropertyValue("--bg").trim();
    document.querySelector('meta[name="theme-color"]')?.setAttribute("content", ground);
  };
  paint();
  system.addEventListener("change", paint);
  return () => {
    system.removeEventListener("change", paint);
  };
}
