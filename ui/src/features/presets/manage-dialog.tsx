import { useState } from "react";
import { useTranslation } from "react-i18next";

import type { Preset, Settings } from "@/api/types";
import { Button, IconButton } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { inputClass } from "@/components/field";
import { TrashIcon } from "@/components/icons";
import { useNotify } from "@/components/toasts";
import { usePresets } from "@/features/presets/presets-context";
import { presetOf } from "@/features/presets/same-settings";

interface ManageDialogProps {
  /** Of the open chat. */
  settings: Settings;
  onClose: () => void;
}

/** All presets: their names can be changed, their settings replaced by this chat's, and they can go. */
export function ManageDialog({ settings, onClose }: ManageDialogProps) {
  const { t } = useTranslation();
  const presets = usePresets((state) => state.presets);
  return (
    <Dialog
      title={t("presets.manage")}
      onClose={onClose}
      actions={<Button onClick={onClose}>{t("presets.done")}</Button>}
    >
      {presets.length === 0 && <p>{t("presets.none")}</p>}
      <ul className="flex max-h-[50dvh] flex-col gap-3 overflow-y-auto p-0.5">
        {presets.map((preset) => (
          <li key={preset.id}>
            <PresetRow preset={preset} settings={settings} />
          </li>
        ))}
      </ul>
    </Dialog>
  );
}

function PresetRow({ preset, settings }: { preset: Preset; settings: Settings }) {
  const { t } = useTranslation();
  const notify = useNotify();
  const { create, change, remove } = usePresets((state) => state);
  const [name, setName] = useState(preset.name);
  const attempt = async (run: () => Promise<void>) => {
    try {
      await run();
      return true;
    } catch (error) {
      notify({ text: `${t("presets.failed")} ${(error as Error).message}` });
      return false;
    }
  };
  const rename = async () => {
    const wanted = name.trim();
    if (wanted === preset.name) return;
    if (wanted === "" || !(await attempt(() => change(preset.id, { name: wanted })))) {
      setName(preset.name);
    }
  };
  const discard = async () => {
    if (!(await attempt(() => remove(preset.id)))) return;
    notify({
      text: t("presets.deleted", { name: preset.name }),
      action: {
        label: t("settings.undo"),
        run: () => void attempt(() => create(preset.name, preset.settings)),
      },
    });
  };
  return (
    <div className="flex flex-wrap items-center gap-2">
      <input
        aria-label={t("presets.nameOf", { name: preset.name })}
        value={name}
        dir="auto"
        maxLength={80}
        autoComplete="off"
        onChange={(event) => {
          setName(event.target.value);
        }}
        onBlur={() => void rename()}
        onKeyDown={(event) => {
          if (event.key === "Enter" && !event.nativeEvent.isComposing) event.currentTarget.blur();
        }}
        className={`${inputClass} min-w-0 flex-1 basis-40`}
      />
      <Button
        aria-label={t("presets.replaceOf", { name: preset.name })}
        title={t("presets.replaceOf", { name: preset.name })}
        disabled={presetOf(settings, [preset]) !== null}
        onClick={() => void attempt(() => change(preset.id, { settings }))}
      >
        {t("presets.replace")}
      </Button>
      <IconButton
        label={t("presets.deleteOf", { name: preset.name })}
        onClick={() => void discard()}
      >
        <TrashIcon />
      </IconButton>
    </div>
  );
}
