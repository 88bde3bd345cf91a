import { useState } from "react";
import { useTranslation } from "react-i18next";

import { canNotify, isNotifying, setNotifying } from "@/lib/notifications";

/** Whether this browser notifies of finished replies. It asks for permission when switched on. */
export function NotifyField() {
  const { t } = useTranslation();
  const [on, setOn] = useState(isNotifying);
  const [refused, setRefused] = useState(false);
  if (!canNotify()) return null;
  const change = async (wanted: boolean) => {
    const now = await setNotifying(wanted);
    setOn(now);
    setRefused(wanted && !now);
  };
  return (
    <div>
      <label className="flex cursor-pointer items-start gap-2.5 text-sm">
        <input
          type="checkbox"
          checked={on}
          onChange={(event) => void change(event.target.checked)}
          className="mt-0.5 size-4 accent-accent"
        />
        {t("messages.notify")}
      </label>
      {refused && (
        <p role="alert" className="mt-1 text-xs text-danger">
          {t("messages.notifyRefused")}
        </p>
      )}
    </div>
  );
}
