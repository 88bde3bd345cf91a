import { useTranslation } from "react-i18next";

interface UnsetButtonProps {
  name: string;
  /** Whether a value is set here. */
  set: boolean;
  onUnset: () => void;
}

/** A button back to the inherited value, or a label if it is in use already. */
export function UnsetButton({ name, set, onUnset }: UnsetButtonProps) {
  const { t } = useTranslation();
  if (!set) return <span className="text-xs text-faint">{t("settings.inherited")}</span>;
  return (
    <button
      type="button"
      aria-label={t("settings.useDefault", { name })}
      onClick={onUnset}
      className="min-h-7 rounded-control px-1.5 text-xs text-accent hover:underline"
    >
      {t("settings.inherited")} ↺
    </button>
  );
}
