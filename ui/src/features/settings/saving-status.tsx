import { useTranslation } from "react-i18next";

import { useSettings } from "@/features/settings/settings-context";
import type { SettingsScope } from "@/features/settings/settings-store";

/** Whether the last change was saved, and if not, why. */
export function SavingStatus({ scope }: { scope: SettingsScope }) {
  const { t } = useTranslation();
  const saving = useSettings((state) => (state.savingOf === scope ? state.saving : "idle"));
  const failure = useSettings((state) => state.failure);
  const words = {
    idle: "",
    waiting: t("settings.saving"),
    saved: t("settings.saved"),
    failed: [t("settings.notSaved"), failure].filter(Boolean).join(" "),
  };
  return (
    <p
      role="status"
      className={`text-xs wrap-anywhere ${saving === "failed" ? "text-danger" : "text-faint"}`}
    >
      {words[saving]}
    </p>
  );
}
