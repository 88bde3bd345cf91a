import { lazy, Suspense, type ReactNode } from "react";
import { useTranslation } from "react-i18next";

import type { SideView } from "@/app/views";

const ModelsView = lazy(async () => ({
  default: (await import("@/features/models/models-view")).ModelsView,
}));
const KeysView = lazy(async () => ({
  default: (await import("@/features/keys/keys-view")).KeysView,
}));
const StatusView = lazy(async () => ({
  default: (await import("@/features/status/status-view")).StatusView,
}));

interface SideViewFrameProps {
  name: SideView;
  manages: boolean;
  onModelsChanged: () => void;
}

/** A view beside the chat, fetched when it is opened for the first time. */
export function SideViewFrame({ name, manages, onModelsChanged }: SideViewFrameProps) {
  const { t } = useTranslation();
  const views: Record<SideView, ReactNode> = {
    models: <ModelsView manages={manages} onChanged={onModelsChanged} />,
    keys: <KeysView />,
    status: <StatusView />,
  };
  return (
    <Suspense fallback={<p className="p-8 text-sm text-faint">{t("app.loadingView")}</p>}>
      {views[name]}
    </Suspense>
  );
}
