import { useTranslation } from "react-i18next";

import type { DownloadAction } from "@/api/models";
import type { Download } from "@/api/types";
import { Button } from "@/components/button";
import { ProgressBar } from "@/components/progress-bar";
import { progressOf } from "@/features/models/facts";

interface DownloadRowProps {
  download: Download;
  onAction: (action: DownloadAction) => void;
}

/** A download of the server, which continues when the page is closed. */
export function DownloadRow({ download, onAction }: DownloadRowProps) {
  const { t } = useTranslation();
  const { repo, file, status, done_bytes: done, total_bytes: total, error } = download;
  const active = status === "running" || status === "waiting";
  const button = (action: DownloadAction, text: string) => (
    <Button
      aria-label={`${text} ${repo}`}
      onClick={() => {
        onAction(action);
      }}
    >
      {text}
    </Button>
  );
  return (
    <article
      aria-label={t("models.progressOf", { name: repo })}
      className="flex flex-wrap items-center gap-x-4 gap-y-3 rounded-panel border border-line px-4 py-3.5"
    >
      <div className="min-w-0 flex-1 basis-72">
        <h3 className="font-medium wrap-anywhere">{repo}</h3>
        <p className="mt-0.5 text-[0.8125rem] text-faint wrap-anywhere">{file}</p>
        <ProgressBar
          label={t("models.progressOf", { name: repo })}
          value={total > 0 ? done / total : 0}
          className="mt-2"
        />
        <p className="mt-1.5 text-sm text-muted tabular-nums">{progressOf(download, t)}</p>
        {error !== null && <p className="mt-1 text-sm text-danger wrap-anywhere">{error}</p>}
      </div>
      <div className="flex gap-2">
        {active && button("pause", t("models.pause"))}
        {status === "paused" && button("resume", t("models.resume"))}
        {status === "failed" && button("resume", t("models.again"))}
        {button("cancel", t("models.cancel"))}
      </div>
    </article>
  );
}
