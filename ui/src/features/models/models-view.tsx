import { useCallback, useState } from "react";
import { useTranslation } from "react-i18next";

import { getProfile, changeProfile } from "@/api/endpoints";
import {
  beginDownload,
  listModels,
  loadModel,
  removeModel,
  tellDownload,
  unloadModel,
} from "@/api/models";
import type { LocalModel } from "@/api/types";
import { useNotify } from "@/components/toasts";
import { ViewLoading } from "@/components/view-loading";
import { NotRead, ViewPage } from "@/components/view-page";
import { CatalogueSection } from "@/features/models/catalogue";
import { DownloadRow } from "@/features/models/download-row";
import { ModelCard, type ModelDeed } from "@/features/models/model-card";
import { RemoveDialog } from "@/features/models/remove-dialog";
import { useDownloads } from "@/features/models/use-downloads";
import { usePolled } from "@/lib/use-polled";

const loadingMs = 700;
const quietMs = 10_000;

interface Shelf {
  models: LocalModel[];
  /** The id of the one that answers where a chat says nothing else. */
  chosen: string | null;
}

async function readShelf(signal: AbortSignal): Promise<Shelf> {
  const [models, profile] = await Promise.all([listModels(signal), getProfile(signal)]);
  return { models, chosen: profile.model ?? profile.defaults.model };
}

function howSoon(shelf: Shelf | null): number {
  return shelf?.models.some(({ status }) => status === "loading") ? loadingMs : quietMs;
}

interface ModelsViewProps {
  /** This caller may load and unload, download and remove. */
  manages: boolean;
  /** A model was loaded or unloaded. */
  onChanged: () => void;
}

/** What is on this machine, what of it is loaded, and what there is to get. */
export function ModelsView({ manages, onChanged }: ModelsViewProps) {
  const { t } = useTranslation();
  const notify = useNotify();
  const { value: shelf, error, refresh } = usePolled(readShelf, howSoon);
  const [leaving, setLeaving] = useState<LocalModel | null>(null);
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
    onChanged();
  };
  const download = (model: string, quantization: string) =>
    void act(() => beginDownload(model, quantization), t("models.started", { name: model }));
  const deed = (model: LocalModel, what: ModelDeed) => {
    const { id, name } = model;
    if (what === "load") void act(() => loadModel(id));
    else if (what === "unload") void act(() => unloadModel(id));
    else if (what === "use") void act(() => changeProfile({ model: id }), t("models.used", { name }));
    else if (what === "download") download(id, "");
    else setLeaving(model);
  };
  return (
    <ViewPage title={t("models.title")} lead={t("models.lead")}>
      {error && <NotRead text={t("models.notRead")} error={error} onRetry={refresh} />}
      {!shelf && !error && <ViewLoading />}
      {downloads.open.length > 0 && (
        <section aria-label={t("models.underWay")} className="flex flex-col gap-2">
          <ul className="flex flex-col gap-2">
            {downloads.open.map((one) => (
              <li key={one.id}>
                <DownloadRow
                  download={one}
                  onTell={(verb) => void act(() => tellDownload(one.id, verb))}
                />
              </li>
            ))}
          </ul>
        </section>
      )}
      {shelf && (
        <section aria-label={t("models.onMachine")} className="flex flex-col gap-2">
          {shelf.models.length === 0 && <p className="text-sm text-muted">{t("models.none")}</p>}
          <ul className="flex flex-col gap-2">
            {shelf.models.map((model) => (
              <li key={model.id}>
                <ModelCard
                  model={model}
                  inUse={model.id === shelf.chosen}
                  manages={manages}
                  onDo={(what) => {
                    deed(model, what);
                  }}
                />
              </li>
            ))}
          </ul>
        </section>
      )}
      {manages && <CatalogueSection downloads={downloads.open} onDownload={download} />}
      {leaving && (
        <RemoveDialog
          model={leaving}
          onCancel={() => {
            setLeaving(null);
          }}
          onRemove={() => {
            setLeaving(null);
            return act(() => removeModel(leaving.id), t("models.removed", { name: leaving.name }));
          }}
        />
      )}
    </ViewPage>
  );
}
