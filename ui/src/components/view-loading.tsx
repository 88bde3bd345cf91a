import { useTranslation } from "react-i18next";

/** A placeholder while something is loading. */
export function ViewLoading() {
  const { t } = useTranslation();
  return (
    <p role="status" className="animate-breathe text-sm text-faint">
      {t("app.loadingView")}
    </p>
  );
}
