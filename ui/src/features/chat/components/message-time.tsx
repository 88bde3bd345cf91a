import { formatMoment, formatWhen } from "@/lib/format";

/** When a message was written: of today the time alone. */
export function MessageTime({ at }: { at: number }) {
  if (at <= 0) return null;
  return (
    <time
      dateTime={new Date(at).toISOString()}
      title={formatMoment(at)}
      className="px-1.5 text-[0.8125rem] text-faint tabular-nums"
    >
      {formatWhen(at)}
    </time>
  );
}
