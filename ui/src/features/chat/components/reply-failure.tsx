import { useTranslation } from "react-i18next";

import type { Message } from "@/api/types";
import { Button } from "@/components/button";
import { AlertIcon } from "@/components/icons";
import { useDeferredBusy, useChat } from "@/features/chat/state/chat-context";
import { useAnsweringModel } from "@/features/chat/state/model-context";
import { adviceFor } from "@/features/chat/state/notice";

interface ReplyFailureProps {
  message: Message;
}

/** Failures that are the model's: another one may do better. */
const modelCodes = new Set([
  "worker_died",
  "model_load_failed",
  "bad_model_file",
  "model_not_downloaded",
  "model_not_found",
]);

/** Why a reply failed, and what can be done. */
export function ReplyFailure({ message }: ReplyFailureProps) {
  const { t } = useTranslation();
  const regenerate = useChat((state) => state.regenerate);
  const takeBack = useChat((state) => state.takeBack);
  const busy = useDeferredBusy();
  const code = message.error?.code ?? "unknown";
  // The same prompt would not fit the second time either.
  const tooLong = code === "context_length_exceeded";
  const model = useAnsweringModel();
  // Nor is another attempt likely to do better while the model's process keeps dying.
  const otherModel = model && (modelCodes.has(code) || model.failing) ? model : null;
  const advice = tooLong
    ? adviceFor(code, t)
    : otherModel?.failing
      ? t("ending.keepsDying", { name: otherModel.name })
      : null;
  return (
    <div className="my-2 flex gap-3 rounded-panel border border-line-strong px-4 py-3 text-sm">
      <AlertIcon className="mt-0.5 size-4.5 text-danger" />
      <div className="min-w-0">
        <p className="font-medium">
          {message.content === "" ? t("ending.nothing") : t("ending.broke")}
        </p>
        <p className="mt-0.5 text-muted wrap-anywhere">
          {message.error?.message ?? t("ending.noReason")}
        </p>
        {advice !== null && <p className="mt-0.5 text-muted">{advice}</p>}
        <div className="mt-3 flex flex-wrap gap-2">
          <Button
            disabled={busy}
            onClick={() => {
              if (tooLong) takeBack(message.id);
              else void regenerate(message.id);
            }}
          >
            {tooLong ? t("ending.editMessage") : t("app.tryAgain")}
          </Button>
          {otherModel && (
            <Button disabled={busy} onClick={otherModel.choose}>
              {t("ending.otherModel")}
            </Button>
          )}
        </div>
      </div>
    </div>
  );
}
