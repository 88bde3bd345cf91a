import { useStore } from "zustand";

import { loadModel } from "@/api/models";
import type { Stores } from "@/app/compose";
import { hrefOfView, navigate } from "@/app/router";
import { may } from "@/features/access/access-store";
import { ModelPicker } from "@/features/models/model-picker";
import { useModelLeft } from "@/features/status/use-model-left";
import type { ModelStatus } from "@/api/types";

interface ChatHeadProps {
  stores: Stores;
  /** The list was opened from elsewhere; counts up. */
  opened: number;
}

const noModels: readonly ModelStatus[] = [];

/** The model of the open chat, which may be a new one. */
export function ChatHead({ stores, opened }: ChatHeadProps) {
  const models = useStore(stores.status, ({ server }) => server?.models ?? noModels);
  const manages = useStore(stores.access, ({ me }) => may(me, "manage"));
  const ownId = useStore(stores.settings, ({ session }) => session.model);
  const defaultId = useStore(
    stores.settings,
    ({ profile }) => profile?.model ?? profile?.defaults.model ?? null,
  );
  const secondsLeft = useModelLeft();
  const choose = (id: string | null) => {
    stores.settings.getState().change("chat", { model: id });
    const chosen = models.find((one) => one.id === (id ?? defaultId));
    // The first message of a caller who may not load models does it.
    if (!manages || chosen?.state !== "unloaded") return;
    loadModel(chosen.id).then(stores.status.getState().probe, stores.status.getState().probe);
  };
  if (models.length === 0 || (ownId ?? defaultId) === null) return null;
  return (
    <ModelPicker
      models={models}
      ownId={ownId}
      defaultId={defaultId}
      secondsLeft={secondsLeft}
      opened={opened}
      onChoose={choose}
      onAll={() => {
        navigate(hrefOfView("models"));
      }}
    />
  );
}
