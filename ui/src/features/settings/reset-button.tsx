import { useTranslation } from "react-i18next";

import { Button } from "@/components/button";
import { useNotify } from "@/components/toasts";
import { useSettings } from "@/features/settings/settings-context";
import { unsetSettings, settingsOf, type SettingsScope } from "@/features/settings/settings-store";

/** Resets all settings of a scope, and offers Undo. */
export function ResetButton({ scope }: { scope: SettingsScope }) {
  const { t } = useTranslation();
  const notify = useNotify();
  const own = useSettings(({ session, profile }) => (scope === "chat" ? session : profile));
  const change = useSettings((state) => state.change);
  if (!own) return null;
  const before = settingsOf(own);
  const nothing = Object.values(before).every((value) => value === null);
  return (
    <Button
      className="self-start"
      disabled={nothing}
      onClick={() => {
        change(scope, unsetSettings);
        notify({
          text: t("settings.resetDone"),
          action: {
            label: t("settings.undo"),
            run: () => {
              change(scope, before);
            },
          },
        });
      }}
    >
      {t("settings.reset")}
    </Button>
  );
}
