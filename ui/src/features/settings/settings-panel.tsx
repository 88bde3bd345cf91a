import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { Button, IconButton } from "@/components/button";
import { CloseIcon } from "@/components/icons";
import { AppearanceFields } from "@/features/settings/appearance-fields";
import type { Choices } from "@/features/settings/choices";
import { SavingStatus } from "@/features/settings/saving-status";
import { Section } from "@/features/settings/fields/section";
import { useSettings } from "@/features/settings/settings-context";
import { SettingsFields } from "@/features/settings/settings-fields";
import { useTarget } from "@/features/settings/use-target";

interface SettingsPanelProps {
  choices: Choices;
  /** Presets for these settings. */
  presets?: ReactNode;
  /** At the foot: who is signed in. */
  foot?: ReactNode;
  onClose: () => void;
}

/** Settings for replies in this chat, which may be a new one, and for the page. */
export function SettingsPanel({ choices, presets, foot, onClose }: SettingsPanelProps) {
  const { t } = useTranslation();
  const sessionId = useSettings((state) => state.sessionId);
  const phase = useSettings((state) => state.phase);
  const load = useSettings((state) => state.load);
  const target = useTarget("chat");

  return (
    <div className="flex h-full flex-col">
      <header className="flex min-h-13 shrink-0 items-center gap-3 ps-5 pe-2">
        <h2 className="font-semibold">{t("settings.title")}</h2>
        <div className="min-w-0 flex-1 py-1 text-end">
          <SavingStatus scope="chat" />
        </div>
        <IconButton label={t("app.close")} onClick={onClose}>
          <CloseIcon />
        </IconButton>
      </header>
      <div className="flex min-h-0 flex-1 flex-col gap-7 overflow-y-auto px-5 pt-1 pb-8">
        {phase === "failed" && (
          <div className="text-sm text-muted">
            <p>{t("settings.notRead")}</p>
            <Button className="mt-3" onClick={() => void load(sessionId)}>
              {t("app.tryAgain")}
            </Button>
          </div>
        )}
        {phase === "ready" && target && (
          <>
            <p className="-mb-2 text-xs leading-4.5 text-faint">
              {sessionId === null ? t("settings.ofNewChat") : t("settings.ofChat")}
            </p>
            <SettingsFields target={target} choices={choices} />
            {presets}
          </>
        )}
        <Section title={t("settings.page")}>
          <AppearanceFields />
        </Section>
        {foot}
      </div>
    </div>
  );
}
