import { useState } from "react";
import { useTranslation } from "react-i18next";

import { isUnset, settingsOf } from "@/api/settings";
import type { Settings } from "@/api/types";
import { Button } from "@/components/button";
import { NameDialog } from "@/features/presets/name-dialog";
import { usePresets } from "@/features/presets/presets-context";
import { presetOf } from "@/features/presets/same-settings";

/** Keeps the open chat's settings as a preset. */
export function KeepButton({ settings }: { settings: Settings }) {
  const { t } = useTranslation();
  const presets = usePresets((state) => state.presets);
  const [open, setOpen] = useState(false);
  const own = settingsOf(settings);
  return (
    <>
      <Button
        className="-mt-4 self-start"
        disabled={isUnset({ ...own, model: null }) || presetOf(own, presets) !== null}
        onClick={() => {
          setOpen(true);
        }}
      >
        {t("presets.keep")}
      </Button>
      {open && (
        <NameDialog
          settings={own}
          onClose={() => {
            setOpen(false);
          }}
        />
      )}
    </>
  );
}
