import { useTranslation } from "react-i18next";

import { formatRate } from "@/lib/format";

const width = 720;
const height = 96;

/** Tokens per second over time, newest at the end. */
export function SpeedLine({ speeds }: { speeds: readonly number[] }) {
  const { t } = useTranslation();
  const most = Math.max(...speeds, 0);
  if (most === 0) return <p className="text-sm text-faint">{t("status.idle")}</p>;
  const step = width / Math.max(speeds.length - 1, 1);
  const points = speeds.map((speed, index) => {
    const y = height - 2 - (speed / most) * (height - 8);
    return `${(index * step).toFixed(1)},${y.toFixed(1)}`;
  });
  return (
    <div className="relative" dir="ltr">
      <svg
        viewBox={`0 0 ${width} ${height}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${t("status.history")}: ${formatRate(speeds.at(-1) ?? 0)}`}
        className="h-24 w-full rounded-panel border border-line"
      >
        <polygon
          points={`0,${height} ${points.join(" ")} ${width},${height}`}
          className="fill-accent/15"
        />
        <polyline
          points={points.join(" ")}
          className="fill-none stroke-accent"
          strokeWidth="2"
          vectorEffect="non-scaling-stroke"
        />
      </svg>
      <span className="absolute end-2 top-1.5 text-xs text-faint tabular-nums">
        {formatRate(most)}
      </span>
    </div>
  );
}
