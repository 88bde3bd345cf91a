import { useTranslation } from "react-i18next";

import { IconButton } from "@/components/button";
import { ChevronEndIcon, ChevronStartIcon } from "@/components/icons";
import type { Version } from "@/features/chat/state/branch";
import { useDeferredBusy, useChat } from "@/features/chat/state/chat-context";

/** ‹ 2/3 ›: switches between the versions of a message. */
export function VersionSwitch({ version }: { version: Version }) {
  const { t } = useTranslation();
  const showVersion = useChat((state) => state.showVersion);
  const busy = useDeferredBusy();
  const { number, count, earlierId, laterId } = version;
  const step = (label: string, id: string | null, icon: React.ReactNode) => (
    <IconButton
      label={label}
      className="size-8 rtl:-scale-x-100"
      disabled={id === null || busy}
      onClick={() => {
        if (id !== null) showVersion(id);
      }}
    >
      {icon}
    </IconButton>
  );
  return (
    <div
      role="group"
      aria-label={t("actions.version", { number, count })}
      className="flex items-center text-[0.8125rem] text-muted tabular-nums"
    >
      {step(t("actions.earlier"), earlierId, <ChevronStartIcon className="size-4" />)}
      <span aria-hidden="true" dir="ltr">
        {number}/{count}
      </span>
      {step(t("actions.later"), laterId, <ChevronEndIcon className="size-4" />)}
    </div>
  );
}
