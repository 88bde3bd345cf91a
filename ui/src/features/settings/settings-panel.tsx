import { useState } from "react";
import { useTranslation } from "react-i18next";

import { Button, IconButton } from "@/components/button";
import { CloseIcon } from "@/components/icons";
import { SegmentedChoice } from "@/components/segmented-choice";
import { AnswerFields } from "@/features/settings/answer-fields";
import { AppearanceFields } from "@/features/settings/appearance-fields";
import type { Choices } from "@/features/settings/choices";
import { ResetButton } from "@/features/settings/reset-button";
import { SamplingFields } from "@/features/settings/sampling-fields";
import { useSettings } from "@/features/settings/settings-context";
import type { SettingsScope } from "@/features/settings/settings-store";

interface SettingsPanelProps {
  choices: Choices;
  /** At the foot: who is signed in. */
  foot?: React.ReactNode;
  onClose: () => void;
}

/** Settings for replies, of this chat or of every chat, and for the page. */
export function SettingsPanel({ choices, foot, onClose }: SettingsPanelProps) {
  const { t } = useTranslation();
  const [chosenScope, setScope] = useState<SettingsScope>("chat");
  const sessionId = useSettings((state) => state.sessionId);
  const phase = useSettings((state) => state.phase);
  const load = useSettings((state) => state.load);
  // A new chat has no settings of its own.
  const scope = sessionId === null ? "all" : chosenScope;

  return (
    <div className="flex h-full flex-col">
      <header className="flex h-13 shrink-0 items-center gap-3 ps-5 pe-2">
        <h2 className="flex-1 font-semibold">{t("settings.title")}</h2>
        <SavingStatus />
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
        {phase === "ready" && (
          <>
            {sessionId !== null && (
              <div>
                <SegmentedChoice
                  label={t("settings.scope")}
                  value={scope}
                  options={[
                    { value: "chat", label: t("settings.thisChat") },
                    { value: "all", label: t("settings.newChats") },
                  ]}
                  onChange={setScope}
                />
                <p className="mt-1.5 text-xs leading-4.5 text-faint">
                  {scope === "chat" ? t("settings.scopeChat") : t("settings.scopeAll")}
                </p>
              </div>
            )}
            <Section title={t("settings.answer")}>
              <AnswerFields scope={scope} choices={choices} />
            </Section>
            <Section title={t("settings.writing")}>
              <SamplingFields scope={scope} />
            </Section>
            <ResetButton scope={scope} />
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

function Section({ title, children }: { title: string; children: React.ReactNode }) {
  return (
    <section aria-label={title} className="flex flex-col gap-4">
      <h3 className="border-b border-line pb-1.5 text-xs font-medium text-faint">{title}</h3>
      {children}
    </section>
  );
}

function SavingStatus() {
  const { t } = useTranslation();
  const saving = useSettings((state) => state.saving);
  const words = {
    idle: "",
    waiting: t("settings.saving"),
    saved: t("settings.saved"),
    failed: t("settings.notSaved"),
  };
  return (
    <p role="status" className={`text-xs ${saving === "failed" ? "text-danger" : "text-faint"}`}>
      {words[saving]}
    </p>
  );
}
