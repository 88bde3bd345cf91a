import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";

import { changeProfile, getProfile } from "@/api/settings";
import {
  beginDownload,
  listModels,
  loadModel,
  removeModel,
  controlDownload,
  unloadModel,
} from "@/api/models";
import type { LocalModel } from "@/api/types";
import { useNotify } from "@/components/toasts";
import { ViewLoading } from "@/components/view-loading";
import { LoadError, ViewPage } from "@/components/view-page";
import { CatalogueSection } from "@/features/models/catalogue";
import { DownloadRow } from "@/features/models/download-row";
import { ModelCard, type ModelAction } from "@/features/models/model-card";
import { RemoveDialog } from "@/features/models/remove-dialog";
import { useDownloads } from "@/features/models/use-downloads";
import { usePolled } from "@/lib/use-polled";

const loadingMs = 700;
const idleMs = 10_000;

interface ModelList {
  models: LocalModel[];
  /** The id of the model that chats use by default. */
  defaultId: string | null;
}

async function readModels(signal: AbortSignal): Promise<ModelList> {
  const [models, profile] = await Promise.all([listModels(signal), getProfile(signal)]);
  return { models, defaultId: profile.model ?? profile.defaults.model };
}

function pollInterval(list: ModelList | null): number {
  return list?.models.some(({ status }) => status === "loading") ? loadingMs : idleMs;
}

interface ModelsViewProps {
  /** Whether this caller may load, unload, download and remove models. */
  manages: boolean;
  /** A model was loaded, unloaded or chosen. */
  onModelsChanged: () => void;
}

/** The models on this machine, and those that can be downloaded. */
export function ModelsView({ manages, onModelsChanged }: ModelsViewProps) {
  const { t } = useTranslation();
  const notify = useNotify();
  const { value: list, error, refresh } = usePolled(readModels, pollInterval);
  const [toRemove, setToRemove] = useState<LocalModel | null>(null);
  const downloads = useDownloads(
    manages,
    useCallback(
      ({ repo }) => {
        notify({ text: t("models.arrived", { name: repo }) });
        refresh();
      },
      [notify, refresh, t],
    ),
  );

  const act = async (run: () => Promise<unknown>, done?: string) => {
    try {
      await run();
      if (done !== undefined) notify({ text: done });
    } catch (failure) {
      notify({ text: `${t("models.failed")} ${(failure as Error).message}` });
    }
    refresh();
    downloads.refresh();
    onModelsChanged();
  };
  const download = (model: string, quantization: string) =>
    void act(() => beginDownload(model, quantization), t("models.started", { name: model }));
  const perform = (model: LocalModel, what: ModelAction) => {
    const { id, name } = model;
    if (what === "load") void act(() => loadModel(id));
    else if (what === "unload") void act(() => unloadModel(id));
    else if (what === "use") void act(() => changeProfile({ model: id }), t("models.used", { name }));
    else if (what === "download") download(id, "");
    else setToRemove(model);
  };
  return (
    <ViewPage title={t("models.title")} lead={t("models.lead")}>
      {error && <LoadError text={t("models.notRead")} error={error} onRetry={refresh} />}
      {!list && !error && <ViewLoading />}
      {downloads.open.length > 0 && (
        <section aria-label={t("models.underWay")} className="flex flex-col gap-2">
          <ul className="flex flex-col gap-2">
            {downloads.open.map((one) => (
              <li key={one.id}>
                <DownloadRow
                  download={one}
                  onAction={(action) => void act(() => controlDownload(one.id, action))}
                />
              </li>
            ))}
          </ul>
        </section>
      )}
      {list && (
        <section aria-label={t("models.onMachine")} className="flex flex-col gap-2">
          {list.models.length === 0 && <p className="text-sm text-muted">{t("models.none")}</p>}
          <ul className="flex flex-col gap-2">
            {list.models.map((model) => (
              <li key={model.id}>
                <ModelCard
                  model={model}
                  inUse={model.id === list.defaultId}
                  manages={manages}
                  onAction={(what) => {
                    perform(model, what);
                  }}
                />
              </li>
            ))}
          </ul>
        </section>
      )}
      {manages && <CatalogueSection downloads={downloads.open} onDownload={download} />}
      {toRemove && (
        <RemoveDialog
          model={toRemove}
          onCancel={() => {
            setToRemove(null);
          }}
          onRemove={() => {
            setToRemove(null);
            return act(() => removeModel(toRemove.id), t("models.removed", { name: toRemove.name }));
          }}
        />
      )}
    </ViewPage>
  );
}
