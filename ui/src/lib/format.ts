const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const oneDigit = new Intl.NumberFormat("en", {
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});

/** 12345 → "12,345". */
export function formatCount(value: number): string {
  return whole.format(value);
}

/** Tokens per second: one digit where it tells something. */
export function formatRate(value: number): string {
  return value < 100 ? oneDigit.format(value) : whole.format(value);
}

/** 0.42 → "0.4 s", 75 → "1 min 15 s". */
export function formatSeconds(seconds: number): string {
  if (seconds < 10) return `${oneDigit.format(seconds)} s`;
  const rounded = Math.round(seconds);
  if (rounded < 60) return `${rounded} s`;
  const rest = rounded % 60;
  return `${Math.floor(rounded / 60)} min${rest === 0 ? "" : ` ${rest} s`}`;
}

/** "1 token", "2 tokens". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${formatCount(count)} ${count === 1 ? one : many}`;
}
