import { useTranslation } from "react-i18next";

interface GaugeProps {
  label: string;
  /** In any unit, the same as the others. */
  total: number;
  /** Used by the appliance. */
  ours: number;
  available: number;
}

/** A resource as a bar: used by the appliance, used by others, free. */
export function Gauge({ label, total, ours, available }: GaugeProps) {
  const { t } = useTranslation();
  const percent = (bytes: number) => Math.min(100, Math.max(0, (100 * bytes) / Math.max(total, 1)));
  const others = total - available - ours;
  return (
    <div
      role="meter"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(percent(total - available))}
      aria-valuetext={t("units.percent", { value: Math.round(percent(total - available)) })}
      className="flex h-2.5 gap-0.5 overflow-hidden rounded-full bg-hover"
    >
      <div className="bg-accent" style={{ width: `${percent(ours)}%` }} />
      <div className="bg-line-bold" style={{ width: `${percent(others)}%` }} />
    </div>
  );
}
