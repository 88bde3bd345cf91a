import { useTranslation } from "react-i18next";

import { listModels, loadModel, unloadModel } from "@/api/admin";
import type { LocalModel } from "@/api/types";
import { useNotify } from "@/components/toasts";
import { ViewLoading } from "@/components/view-loading";
import { NotRead, ViewPage } from "@/components/view-page";
import { ModelCard } from "@/features/models/model-card";
import { usePolled } from "@/lib/use-polled";

const loadingMs = 700;
const quietMs = 10_000;

function howSoon(models: LocalModel[] | null): number {
  return models?.some(({ status }) => status === "loading") ? loadingMs : quietMs;
}

interface ModelsViewProps {
  /** This caller may load and unload. */
  manages: boolean;
  /** A model was loaded or unloaded. */
  onChanged: () => void;
}

/** What is on this machine, what of it is loaded, and what there is to get. */
export function ModelsView({ manages, onChanged }: ModelsViewProps) {
  const { t } = useTranslation();
  const notify = useNotify();
  const { value: models, error, refresh } = usePolled(listModels, howSoon);

  const act = async (run: () => Promise<unknown>) => {
    try {
      await run();
    } catch (failure) {
      notify({ text: `${t("models.failed")} ${(failure as Error).message}` });
    }
    refresh();
    onChanged();
  };
  return (
    <ViewPage title={t("models.title")} lead={t("models.lead")}>
      {error && <NotRead text={t("models.notRead")} error={error} onRetry={refresh} />}
      {!models && !error && <ViewLoading />}
      {models && (
        <section aria-label={t("models.onMachine")} className="flex flex-col gap-2">
          {models.length === 0 && <p className="text-sm text-muted">{t("models.none")}</p>}
          <ul className="flex flex-col gap-2">
            {models.map((model) => (
              <li key={model.id}>
                <ModelCard
                  model={model}
                  manages={manages}
                  onLoad={() => void act(() => loadModel(model.id))}
                  onUnload={() => void act(() => unloadModel(model.id))}
                />
              </li>
            ))}
          </ul>
        </section>
      )}
    </ViewPage>
  );
}
