import { memo, useMemo } from "react";
import { useTranslation } from "react-i18next";
import { useStore } from "zustand";

import type { Stores } from "@/app/compose";
import { hrefOfSession, navigate } from "@/app/router";
import { ChatView } from "@/features/chat/chat-view";
import { PresetMenu } from "@/features/presets/preset-menu";
import { servingModel, type StatusState } from "@/features/status/status-store";
import { useModelLeft } from "@/features/status/use-model-left";
import { WarmUp } from "@/features/status/warm-up";

interface OpenChatProps {
  stores: Stores;
  /** Opens the list of models. */
  onModels: () => void;
}

/** The chat, with what it shows of its model and of its settings. */
export const OpenChat = memo(function OpenChat({ stores, onModels }: OpenChatProps) {
  const { t } = useTranslation();
  const percent = useStore(stores.status, holdingPercent);
  const able = useStore(stores.status, isAble);
  // Each by itself: the status is another object whenever the server is asked.
  const name = useStore(stores.status, (state) => servingModel(state)?.name ?? null);
  const state = useStore(stores.status, (state) => servingModel(state)?.state);
  const progress = useStore(stores.status, (state) => servingModel(state)?.progress ?? 0);
  const elsewhere = useStore(stores.status, (state) => servingModel(state)?.elsewhere ?? false);
  const settings = useStore(stores.settings, ({ session }) => session);
  const change = useStore(stores.settings, (state) => state.change);
  const secondsLeft = useModelLeft();
  const model = useMemo(
    () =>
      name === null
        ? null
        : {
            name,
            loading: state === "loading" ? { progress, secondsLeft } : null,
            failing: state === "failing",
            elsewhere,
            choose: onModels,
          },
    [name, state, progress, secondsLeft, elsewhere, onModels],
  );
  return (
    <ChatView
      hold={percent === null ? null : t("chat.hold", { percent })}
      about={<WarmUp />}
      able={able}
      model={model}
      presets={
        <PresetMenu
          settings={settings}
          onApply={(changed) => {
            change("chat", changed);
          }}
        />
      }
      onNewChat={() => {
        navigate(hrefOfSession(null));
      }}
    />
  );
});

/** Whether a model can answer, now or soon. Counts as yes until it is known. */
function isAble(state: StatusState): boolean {
  return state.server === null || ![undefined, "failed"].includes(servingModel(state)?.state);
}

/**
 * The progress of the first model while it is loaded, to which nothing can be sent yet; null if there
 * is none. A message to another one waits for it.
 */
function holdingPercent(state: StatusState): number | null {
  const { reach, server } = state;
  const model = servingModel(state);
  if (reach === "down" || model?.state !== "loading") return null;
  if (server?.models.some((one) => one.state === "ready")) return null;
  return Math.round(model.progress * 100);
}
