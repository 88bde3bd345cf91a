import { useTranslation } from "react-i18next";

import type { Download, Suggestion } from "@/api/types";
import { Badge } from "@/components/badge";
import { Button } from "@/components/button";
import { suggestionFacts } from "@/features/models/facts";
import { FitWord } from "@/features/models/fit-badge";

interface SuggestionCardProps {
  suggestion: Suggestion;
  /** The largest that fits and is fast. */
  recommended: boolean;
  /** Its download, if there is one. */
  download: Download | undefined;
  onDownload: () => void;
}

export function SuggestionCard(props: SuggestionCardProps) {
  const { suggestion, recommended, download, onDownload } = props;
  const { t } = useTranslation();
  const { model, fits, downloaded } = suggestion;
  return (
    <article
      aria-label={model.title}
      className="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-panel border border-line px-4 py-3"
    >
      <div className="min-w-0 flex-1 basis-72">
        <div className="flex flex-wrap items-baseline gap-x-2.5 gap-y-1">
          <h4 className="font-medium">{model.title}</h4>
          <FitWord fits={fits} />
          {recommended && <Badge>{t("models.recommended")}</Badge>}
        </div>
        <p className="mt-0.5 text-sm text-muted">{model.about}</p>
        <p className="mt-1 text-[0.8125rem] text-faint tabular-nums">
          {suggestionFacts(suggestion, t).join(" · ")}
        </p>
      </div>
      {download ? (
        <p className="text-sm text-muted tabular-nums">
          {t(`models.downloadState.${download.status}`)}
        </p>
      ) : downloaded ? (
        <p className="text-sm text-muted">{t("models.here")}</p>
      ) : (
        <Button
          variant={recommended ? "accent" : "plain"}
          aria-label={`${t("models.download")} ${model.title}`}
          onClick={onDownload}
        >
          {t("models.download")}
        </Button>
      )}
    </article>
  );
}
