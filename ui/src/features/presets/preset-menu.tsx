import { lazy, Suspense, useState } from "react";
import { useTranslation } from "react-i18next";

import { isUnset, settingsOf, unsetSettings } from "@/api/settings";
import type { Preset, Settings } from "@/api/types";
import { ChoiceMenu } from "@/components/choice-menu";
import { ChevronDownIcon } from "@/components/icons";
import { useNotify } from "@/components/toasts";
import { usePresets } from "@/features/presets/presets-context";
import { presetOf, withPreset } from "@/features/presets/same-settings";

// Neither is needed for the first paint.
const NameDialog = lazy(async () => ({
  default: (await import("@/features/presets/name-dialog")).NameDialog,
}));
const ManageDialog = lazy(async () => ({
  default: (await import("@/features/presets/manage-dialog")).ManageDialog,
}));

interface PresetMenuProps {
  /** Of the open chat, which may be a new one. */
  settings: Settings;
  onApply: (settings: Settings) => void;
}

/** Settings under a name, for the open chat; and what keeps its own as another one. */
export function PresetMenu({ settings, onApply }: PresetMenuProps) {
  const { t } = useTranslation();
  const notify = useNotify();
  const presets = usePresets((state) => state.presets);
  const load = usePresets((state) => state.load);
  const [dialog, setDialog] = useState<"name" | "manage" | null>(null);
  const own = settingsOf(settings);
  const chosen = presetOf(own, presets);
  const close = () => {
    setDialog(null);
  };
  const apply = (changed: Settings, text: string) => {
    onApply(changed);
    notify({
      text,
      action: {
        label: t("settings.undo"),
        run: () => {
          onApply(own);
        },
      },
    });
  };
  const choose = (preset: Preset) => {
    apply(withPreset(own, preset), t("presets.used", { name: preset.name }));
  };
  const plain = { ...unsetSettings, model: own.model };
  const isPlain = isUnset({ ...own, model: null });
  return (
    <>
      <ChoiceMenu
        label={chosen ? t("presets.chosen", { name: chosen.name }) : t("presets.label")}
        chosen={chosen?.id ?? (isPlain ? "" : null)}
        choices={
          presets.length === 0
            ? []
            : [
                {
                  key: "",
                  label: t("presets.usual"),
                  run: () => {
                    if (!isPlain) apply(plain, t("presets.usualUsed"));
                  },
                },
                ...presets.map((preset) => ({
                  key: preset.id,
                  label: preset.name,
                  note: preset.settings.system_prompt?.slice(0, 90),
                  run: () => {
                    choose(preset);
                  },
                })),
              ]
        }
        actions={[
          {
            key: "keep",
            label: t("presets.keep"),
            disabled: isPlain || chosen !== null,
            ...(isPlain ? { note: t("presets.keepHow") } : {}),
            run: () => {
              setDialog("name");
            },
          },
          ...(presets.length === 0
            ? []
            : [
                {
                  key: "manage",
                  label: t("presets.manage"),
                  run: () => {
                    setDialog("manage");
                  },
                },
              ]),
        ]}
        onOpen={() => void load()}
        buttonClass="flex min-h-6 min-w-0 max-w-48 shrink-0 items-center gap-1 rounded-control px-1.5 hover:bg-hover hover:text-text pointer-coarse:min-h-9"
      >
        <span dir="auto" className="truncate">
          {chosen?.name ?? t("presets.label")}
        </span>
        <ChevronDownIcon className="size-3.5" />
      </ChoiceMenu>
      <Suspense>
        {dialog === "name" && <NameDialog settings={own} onClose={close} />}
        {dialog === "manage" && <ManageDialog settings={own} onClose={close} />}
      </Suspense>
    </>
  );
}
