import { useTranslation } from "react-i18next";

import { isUnset, unsetSettings } from "@/api/settings";
import { Button } from "@/components/button";
import { useNotify } from "@/components/toasts";
import { useSettingsTarget } from "@/features/settings/use-setting";

/** Resets all settings of the target, and offers Undo. */
export function ResetButton() {
  const { t } = useTranslation();
  const notify = useNotify();
  const { own, change } = useSettingsTarget();
  return (
    <Button
      className="self-start"
      disabled={isUnset(own)}
      onClick={() => {
        change(unsetSettings);
        notify({
          text: t("settings.resetDone"),
          action: {
            label: t("settings.undo"),
            run: () => {
              change(own);
            },
          },
        });
      }}
    >
      {t("settings.reset")}
    </Button>
  );
}
