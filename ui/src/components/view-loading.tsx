import { useTranslation } from "react-i18next";

/** Stands where something is being read. */
export function ViewLoading() {
  const { t } = useTranslation();
  return (
    <p role="status" className="animate-breathe text-sm text-faint">
      {t("app.loadingView")}
    </p>
  );
}
