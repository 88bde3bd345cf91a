import { useTranslation } from "react-i18next";

/** Where no key would help: the appliance gives none, and does not serve this browser. */
export function NotAdmitted({ reason }: { reason: string | null }) {
  const { t } = useTranslation();
  return (
    <main className="flex h-full items-center justify-center overflow-y-auto p-6">
      <div className="w-full max-w-120">
        <h1 className="text-[1.625rem] leading-tight font-semibold tracking-tight">
          {t("access.notAdmitted")}
        </h1>
        <p className="mt-2 text-muted wrap-anywhere">{reason ?? t("access.notAdmittedWhy")}</p>
      </div>
    </main>
  );
}
