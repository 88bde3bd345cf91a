import { describe, expect, it } from "vitest";

import css from "@/app/theme.css?raw";

const dark = css.indexOf(':root[data-theme="dark"]');
const blocks = { light: css.slice(0, dark), dark: css.slice(dark) };

type Theme = keyof typeof blocks;

function colour(theme: Theme, name: string): [number, number, number] {
  // What the dark block does not say, it takes from the light one.
  const rule = new RegExp(`--${name}: #([0-9a-f]{6});`);
  const hex = rule.exec(blocks[theme])?.[1] ?? rule.exec(blocks.light)?.[1];
  if (hex === undefined) throw new Error(`theme.css has no --${name}`);
  const channel = (at: number) => parseInt(hex.slice(at, at + 2), 16) / 255;
  return [channel(0), channel(2), channel(4)];
}

/** WCAG 2 relative luminance. */
function luminance(theme: Theme, name: string): number {
  const [r, g, b] = colour(theme, name).map((value) =>
    value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4,
  ) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(theme: Theme, one: string, other: string): number {
  const [lower, higher] = [luminance(theme, one), luminance(theme, other)].sort((a, b) => a - b) as [
    number,
    number,
  ];
  return (higher + 0.05) / (lower + 0.05);
}

describe.each(["light", "dark"] as const)("the %s theme", (theme) => {
  const grounds = ["rail", "bg", "raised", "hover"];

  it.each(grounds.flatMap((ground) => ["text", "muted", "faint"].map((ink) => [ink, ground])))(
    "reads %s on %s",
    (ink = "", ground = "") => {
      expect(contrast(theme, ink, ground)).toBeGreaterThanOrEqual(4.5);
    },
  );

  it.each([
    ["accent", "bg"],
    ["accent", "raised"],
    ["warn", "bg"],
    ["warn", "raised"],
    ["danger", "bg"],
    ["danger", "raised"],
    ["danger", "rail"],
    ["accent-ink", "accent"],
    ["accent-ink", "accent-strong"],
    ["danger-ink", "danger"],
    ["danger-ink", "danger-strong"],
  ])("reads %s on %s", (ink, ground) => {
    expect(contrast(theme, ink, ground)).toBeGreaterThanOrEqual(4.5);
  });

  it.each(["bg", "raised", "rail"])("shows the edge of what has the focus on %s", (ground) => {
    expect(contrast(theme, "line-bold", ground)).toBeGreaterThanOrEqual(3);
    expect(contrast(theme, "accent", ground)).toBeGreaterThanOrEqual(3);
  });
});

it("reads code, which is dark in both themes", () => {
  for (const ink of ["text", "muted", "faint"]) {
    expect(contrast("dark", ink, "code")).toBeGreaterThanOrEqual(4.5);
  }
});
