import { useTranslation } from "react-i18next";

import { IconButton } from "@/components/button";
import { AlertIcon, CloseIcon } from "@/components/icons";
import { useChat } from "@/features/chat/state/chat-context";
import { adviceFor, noticeText } from "@/features/chat/state/notice";

/** Why the last message was refused, directly above its text. */
export function NoticeLine() {
  const { t } = useTranslation();
  const notice = useChat((state) => (state.phase === "ready" ? state.notice : null));
  const dismiss = useChat((state) => state.dismissNotice);
  if (!notice) return null;
  const advice = adviceFor(notice.code, t);
  return (
    <div
      role="alert"
      className="mb-2 flex animate-arrive items-start gap-3 rounded-panel border border-line-strong bg-bg py-2 ps-4 pe-2 text-sm"
    >
      <AlertIcon className="mt-2 size-4.5 text-danger" />
      <p className="min-w-0 flex-1 py-1.5 wrap-anywhere">
        {noticeText(notice, t)} {advice !== null && <span className="text-muted">{advice}</span>}
      </p>
      <IconButton label={t("app.dismiss")} onClick={dismiss}>
        <CloseIcon className="size-4" />
      </IconButton>
    </div>
  );
}
