import { useEffect } from "react";
import { useTranslation } from "react-i18next";

import { LoadError, ViewPage } from "@/components/view-page";
import { ViewLoading } from "@/components/view-loading";
import type { Choices } from "@/features/settings/choices";
import { SavingStatus } from "@/features/settings/saving-status";
import { useSettings } from "@/features/settings/settings-context";
import { SettingsFields } from "@/features/settings/settings-fields";
import { useTarget } from "@/features/settings/use-target";

/** The settings that hold in every chat, of everybody, that has none of its own. */
export function EverybodyView({ choices }: { choices: Choices }) {
  const { t } = useTranslation();
  const sessionId = useSettings((state) => state.sessionId);
  const failed = useSettings((state) => state.phase === "failed");
  const load = useSettings((state) => state.load);
  const target = useTarget("all");
  useEffect(() => {
    void load(sessionId);
  }, [load, sessionId]);
  return (
    <ViewPage title={t("everybody.title")} lead={t("everybody.lead")}>
      {!target && failed && (
        <LoadError
          text={t("settings.notRead")}
          error={new Error("")}
          onRetry={() => void load(sessionId)}
        />
      )}
      {!target && !failed && <ViewLoading />}
      {target && (
        <div className="flex max-w-136 flex-col gap-7">
          <div className="min-h-5">
            <SavingStatus scope="all" />
          </div>
          <SettingsFields target={target} choices={choices} />
        </div>
      )}
    </ViewPage>
  );
}
