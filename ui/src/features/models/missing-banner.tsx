import { useState } from "react";
import { useTranslation } from "react-i18next";

import { beginDownload } from "@/api/models";
import type { ModelStatus } from "@/api/types";
import { Button } from "@/components/button";
import { DownloadIcon } from "@/components/icons";
import { useNotify } from "@/components/toasts";

interface MissingBannerProps {
  /** The models of the server, the default first. */
  models: readonly ModelStatus[];
  /** Whether this caller may download models. */
  manages: boolean;
  /** A download has begun. */
  onDownload: () => void;
}

/** Offers the download of the configured model while another one answers in its place. */
export function MissingBanner({ models, manages, onDownload }: MissingBannerProps) {
  const { t } = useTranslation();
  const notify = useNotify();
  const [busy, setBusy] = useState(false);
  const [begun, setBegun] = useState(false);
  const missing = models[0];
  const instead = models.find(({ state }) => state === "ready");
  if (!missing?.missing || !instead || !manages || begun) return null;
  const { id, name } = missing;

  async function download() {
    setBusy(true);
    try {
      await beginDownload(id, "");
      setBegun(true);
      onDownload();
    } catch (error) {
      notify({ text: error instanceof Error ? error.message : t("models.failed") });
    }
    setBusy(false);
  }

  return (
    <div className="border-b border-line bg-raised text-sm">
      <div className="flex items-center gap-3 px-4 py-2">
        <DownloadIcon className="size-4.5 text-muted" />
        <p role="status" className="min-w-0 flex-1 wrap-anywhere">
          {t("models.missing", { name, instead: instead.name })}
        </p>
        <Button disabled={busy} onClick={() => void download()}>
          {t("models.downloadIt", { name })}
        </Button>
      </div>
    </div>
  );
}
