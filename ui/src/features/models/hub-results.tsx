import { useTranslation } from "react-i18next";

import type { Download, HubModel } from "@/api/types";
import { Button } from "@/components/button";
import { formatCount } from "@/lib/format";

interface HubResultsProps {
  found: readonly HubModel[];
  downloads: readonly Download[];
  onDownload: (repo: string) => void;
}

/** The results of a search on the hub. */
export function HubResults({ found, downloads, onDownload }: HubResultsProps) {
  const { t } = useTranslation();
  return (
    <section aria-labelledby="hub-results" className="flex flex-col gap-2">
      <h3 id="hub-results" className="text-sm font-medium text-muted">
        {t("models.hub")}
      </h3>
      {found.length === 0 && <p className="text-sm text-muted">{t("models.hubNone")}</p>}
      <ul className="divide-y divide-line rounded-panel border border-line empty:hidden">
        {found.map((model) => {
          const download = downloads.find(({ repo }) => repo === model.repo);
          return (
            <li key={model.repo} className="flex flex-wrap items-center gap-x-4 gap-y-2 px-4 py-2.5">
              <div className="min-w-0 flex-1 basis-64">
                <p className="font-medium wrap-anywhere">{model.repo}</p>
                <p className="text-[0.8125rem] text-faint tabular-nums">{about(model).join(" · ")}</p>
              </div>
              {download ? (
                <p className="text-sm text-muted">{t(`models.downloadState.${download.status}`)}</p>
              ) : (
                <Button
                  aria-label={`${t("models.download")} ${model.repo}`}
                  onClick={() => {
                    onDownload(model.repo);
                  }}
                >
                  {t("models.download")}
                </Button>
              )}
            </li>
          );
        })}
      </ul>
    </section>
  );

  function about({ licence, downloads: count, likes, gated }: HubModel): string[] {
    return [
      licence,
      t("models.downloads", { count, formatted: formatCount(count) }),
      t("models.likes", { count: likes, formatted: formatCount(likes) }),
      gated ? t("models.gated") : "",
    ].filter((fact) => fact !== "");
  }
}
