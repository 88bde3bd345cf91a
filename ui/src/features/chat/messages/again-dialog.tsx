import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import { listModels } from "@/api/models";
import type { LocalModel, Message } from "@/api/types";
import { Button } from "@/components/button";
import { Dialog } from "@/components/dialog";
import { useChat } from "@/features/chat/state/chat-context";
import { toNotice, noticeText, type Notice } from "@/features/chat/state/notice";
import { formatBytes } from "@/lib/format";

/** Has another model write a version of a reply. */
export function AgainDialog({ message, onClose }: { message: Message; onClose: () => void }) {
  const { t } = useTranslation();
  const regenerate = useChat((state) => state.regenerate);
  const [models, setModels] = useState<readonly LocalModel[] | null>(null);
  const [failure, setFailure] = useState<Notice | null>(null);

  useEffect(() => {
    const abort = new AbortController();
    listModels(abort.signal).then(setModels, (error: unknown) => {
      if (!abort.signal.aborted) setFailure(toNotice(error));
    });
    return () => {
      abort.abort();
    };
  }, []);

  const able = models?.filter(({ embeds, downloaded }) => !embeds && downloaded);
  return (
    <Dialog
      title={t("messages.againTitle")}
      onClose={onClose}
      actions={<Button onClick={onClose}>{t("app.cancel")}</Button>}
    >
      {failure && <p role="alert">{noticeText(failure, t)}</p>}
      <ul className="-mx-2 flex max-h-[50dvh] flex-col overflow-y-auto">
        {able?.map((model) => (
          <li key={model.id}>
            <button
              type="button"
              onClick={() => {
                onClose();
                void regenerate(message.id, model.id);
              }}
              className="flex min-h-11 w-full items-baseline gap-3 rounded-control px-2 py-2 text-start hover:bg-hover"
            >
              <span className="min-w-0 flex-1 text-text wrap-anywhere">{model.name}</span>
              <span className="shrink-0 text-xs tabular-nums">
                {model.id === message.model
                  ? t("messages.wroteThis")
                  : model.status === "ready"
                    ? t("messages.loaded")
                    : formatBytes(model.size)}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
