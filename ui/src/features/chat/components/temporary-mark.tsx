import { useTranslation } from "react-i18next";

import { ClockIcon } from "@/components/icons";
import { useChat } from "@/features/chat/state/chat-context";

/** Above the input of a chat that is never stored. */
export function TemporaryMark() {
  const { t } = useTranslation();
  const temporary = useChat((state) => state.temporary);
  if (!temporary) return null;
  return (
    <p className="mb-2 flex items-center gap-2 px-3 text-xs text-muted">
      <ClockIcon className="size-3.5" />
      {t("temporary.mark")}
    </p>
  );
}
