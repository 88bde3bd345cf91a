import { expect, it } from "vitest";

import css from "@/app/theme.css?raw";

function colour(name: string): [number, number, number] {
  const hex = new RegExp(`--${name}: #([0-9a-f]{6});`).exec(css)?.[1];
  if (hex === undefined) throw new Error(`theme.css has no --${name}`);
  const channel = (at: number) => parseInt(hex.slice(at, at + 2), 16) / 255;
  return [channel(0), channel(2), channel(4)];
}

/** WCAG 2 relative luminance. */
function luminance(name: string): number {
  const [r, g, b] = colour(name).map((value) =>
    value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4,
  ) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b) as [number, number];
  return (light + 0.05) / (dark + 0.05);
}

const grounds = ["rail", "code", "bg", "raised", "hover"];

it.each(grounds.flatMap((ground) => ["text", "muted", "faint"].map((ink) => [ink, ground])))(
  "reads %s on %s",
  (ink = "", ground = "") => {
    expect(contrast(ink, ground)).toBeGreaterThanOrEqual(4.5);
  },
);

it.each([
  ["accent", "bg"],
  ["danger", "bg"],
  ["danger", "raised"],
  ["accent-ink", "accent"],
  ["accent-ink", "accent-strong"],
  ["danger-ink", "danger"],
  ["danger-ink", "danger-strong"],
])("reads %s on %s", (ink, ground) => {
  expect(contrast(ink, ground)).toBeGreaterThanOrEqual(4.5);
});

it.each(["bg", "raised", "rail"])("shows the edge of what has the focus on %s", (ground) => {
  expect(contrast("line-bold", ground)).toBeGreaterThanOrEqual(3);
  expect(contrast("accent", ground)).toBeGreaterThanOrEqual(3);
});
