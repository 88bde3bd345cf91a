import i18next from "i18next";

/** Numbers and times in the language that the page is shown in. */

const formats = new Map<string, Intl.NumberFormat>();

function numberFormat(digits: number): Intl.NumberFormat {
  const key = `${i18next.language} ${digits}`;
  const known = formats.get(key);
  if (known) return known;
  const made = new Intl.NumberFormat(i18next.language, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  formats.set(key, made);
  return made;
}

/** 12345 → "12,345". */
export function formatCount(value: number): string {
  return numberFormat(0).format(value);
}

/** 0.5 → "0.50". */
export function formatDecimal(value: number, digits: number): string {
  return numberFormat(digits).format(value);
}

/** Tokens per second; below 100 with one decimal. */
export function formatRate(value: number): string {
  return i18next.t("units.rate", { value: numberFormat(value < 100 ? 1 : 0).format(value) });
}

/** 0.42 → "0.4 s", 75 → "1 min 15 s", 3700 → "1 h 1 min", 100000 → "1 d 3 h". */
export function formatSeconds(seconds: number): string {
  const { t } = i18next;
  if (seconds < 9.95) return t("units.seconds", { value: numberFormat(1).format(seconds) });
  const rounded = Math.round(seconds);
  if (rounded < 60) return t("units.seconds", { value: rounded });
  const minutes = Math.floor(rounded / 60);
  if (minutes < 60) {
    const rest = rounded % 60;
    return rest === 0
      ? t("units.minutes", { minutes })
      : t("units.minutesSeconds", { minutes, seconds: rest });
  }
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return t("units.hours", { hours, minutes: minutes % 60 });
  return t("units.days", { days: Math.floor(hours / 24), hours: hours % 24 });
}

/** "1 token", "2,000 tokens". */
export function formatTokens(count: number): string {
  return i18next.t("units.tokens", { count, formatted: formatCount(count) });
}

const byteUnits = ["bytes", "kilobytes", "megabytes", "gigabytes"] as const;

/** 1536000 → "1.5 MB", in steps of 1000. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < byteUnits.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return i18next.t(`units.${byteUnits[unit] ?? "bytes"}`, {
    value: numberFormat(digits).format(value),
  });
}

const agoSteps: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

/** A moment before now: "5 minutes ago". */
export function formatAgo(at: number, now: number): string {
  const seconds = Math.max(0, (now - at) / 1000);
  const format = new Intl.RelativeTimeFormat(i18next.language, { numeric: "auto" });
  for (const [unit, size] of agoSteps) {
    if (seconds >= size) return format.format(-Math.floor(seconds / size), unit);
  }
  return format.format(0, "minute");
}

/** A time of day: "14:05:09". */
export function formatTime(at: number): string {
  return new Intl.DateTimeFormat(i18next.language, { timeStyle: "medium" }).format(at);
}

const durationSteps: [string, number][] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** A length of time, in the largest unit that it has: "30 days", "10 minutes". */
export function formatDuration(seconds: number): string {
  const [unit, size] = durationSteps.find(([, one]) => seconds >= one) ?? ["second", 1];
  const options = { style: "unit", unit, unitDisplay: "long", maximumFractionDigits: 1 } as const;
  return new Intl.NumberFormat(i18next.language, options).format(seconds / size);
}

/** A day: "3 May 2027". */
export function formatDay(at: number): string {
  return new Intl.DateTimeFormat(i18next.language, { dateStyle: "medium" }).format(at);
}

/** A moment: "3 May 2027, 14:05". */
export function formatMoment(at: number): string {
  return new Intl.DateTimeFormat(i18next.language, { dateStyle: "medium", timeStyle: "short" }).format(at);
}

/** A moment, as short as it is clear: of today the time alone, of this year without the year. */
export function formatWhen(at: number, now = Date.now()): string {
  const [day, today] = [new Date(at), new Date(now)];
  if (day.toDateString() === today.toDateString()) {
    return new Intl.DateTimeFormat(i18next.language, { timeStyle: "short" }).format(at);
  }
  if (day.getFullYear() !== today.getFullYear()) return formatMoment(at);
  return new Intl.DateTimeFormat(i18next.language, {
    day: "numeric",
    month: "short",
    hour: "numeric",
    minute: "2-digit",
  }).format(at);
}
