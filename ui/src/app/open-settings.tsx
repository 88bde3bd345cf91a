import { lazy, Suspense } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";

import type { Stores } from "@/app/compose";
import { hrefOfView } from "@/app/router";
import { may } from "@/features/access/access-store";
import { SignedIn } from "@/features/access/signed-in";
import type { Choices } from "@/features/settings/choices";

// Not needed for the first paint.
const SettingsPanel = lazy(async () => ({
  default: (await import("@/features/settings/settings-panel")).SettingsPanel,
}));
const KeepButton = lazy(async () => ({
  default: (await import("@/features/presets/keep-button")).KeepButton,
}));

interface OpenSettingsProps {
  stores: Stores;
  choices: Choices;
  onClose: () => void;
}

/** The settings of the open chat, and the way to those of everybody. */
export function OpenSettings({ stores, choices, onClose }: OpenSettingsProps) {
  const { t } = useTranslation();
  const me = useStore(stores.access, (state) => state.me);
  const settings = useStore(stores.settings, ({ session }) => session);
  return (
    <Suspense fallback={<p className="p-5 text-sm text-faint">{t("app.loadingView")}</p>}>
      <SettingsPanel
        choices={choices}
        presets={<KeepButton settings={settings} />}
        foot={
          <>
            {may(me, "manage") && (
              <a
                href={hrefOfView("everybody")}
                className="self-start rounded-control text-sm text-accent hover:underline"
              >
                {t("app.everybody")}
              </a>
            )}
            <SignedIn me={me} onLeave={stores.access.getState().leave} />
          </>
        }
        onClose={onClose}
      />
    </Suspense>
  );
}
