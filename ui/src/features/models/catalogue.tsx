import { useEffect, useRef, useState, type SubmitEvent } from "react";
import { useTranslation } from "react-i18next";

import { getCatalogue, searchHub } from "@/api/models";
import type { Download, HubModel, Suggestion } from "@/api/types";
import { Button } from "@/components/button";
import { Field, inputClass } from "@/components/field";
import { ViewLoading } from "@/components/view-loading";
import { LoadError } from "@/components/view-page";
import { HubResults } from "@/features/models/hub-results";
import { SuggestionCard } from "@/features/models/suggestion-card";
import { formatCount } from "@/lib/format";
import { usePolled } from "@/lib/use-polled";

const weights = ["q4", "q8", "bf16"] as const;

type Weights = (typeof weights)[number];

interface CatalogueProps {
  downloads: readonly Download[];
  onDownload: (model: string, quantization: string) => void;
}

const everyMs = () => 60_000;

/** Models to download: the list that comes with the appliance, and search results from the hub. */
export function CatalogueSection({ downloads, onDownload }: CatalogueProps) {
  const { t } = useTranslation();
  const { value: catalogue, error, refresh } = usePolled(getCatalogue, everyMs);
  const [words, setWords] = useState("");
  const [quantization, setQuantization] = useState<Weights>("q4");
  const hub = useHub();
  const found = catalogue?.models.filter((one) => fitsWords(one, words)) ?? [];

  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void hub.search(words.trim());
  };
  return (
    <section aria-labelledby="get-models" className="flex flex-col gap-4">
      <div>
        <h3 id="get-models" className="text-lg font-semibold">
          {t("models.get")}
        </h3>
        <p className="mt-0.5 text-sm text-muted">{t("models.getLead")}</p>
      </div>
      <form role="search" onSubmit={submit} className="flex flex-wrap items-start gap-x-3 gap-y-2">
        <div className="min-w-0 flex-1 basis-56">
          <Field
            label={t("models.search")}
            hint={catalogue?.offline ? t("models.offline") : t("models.searchHint")}
          >
            {({ id, describedBy }) => (
              <input
                id={id}
                type="search"
                autoComplete="off"
                spellCheck={false}
                aria-describedby={describedBy}
                value={words}
                onChange={(event) => {
                  setWords(event.target.value);
                }}
                className={inputClass}
              />
            )}
          </Field>
        </div>
        <div className="shrink-0 basis-44 max-sm:grow">
          <Field label={t("models.weights")}>
            {({ id }) => (
              <select
                id={id}
                value={quantization}
                onChange={(event) => {
                  setQuantization(weights.find((one) => one === event.target.value) ?? "q4");
                }}
                className={inputClass}
              >
                {weights.map((one) => (
                  <option key={one} value={one}>
                    {t(`models.weightsOf.${one}`)}
                  </option>
                ))}
              </select>
            )}
          </Field>
        </div>
        <Button
          type="submit"
          className="max-sm:self-end sm:mt-7 pointer-coarse:min-h-11"
          disabled={words.trim() === "" || hub.searching || (catalogue?.offline ?? false)}
        >
          {hub.searching ? t("models.searching") : t("models.searchHub")}
        </Button>
      </form>
      {hub.failure !== null && (
        <p role="alert" className="text-sm text-danger wrap-anywhere">
          {t("models.notSearched")} {hub.failure}
        </p>
      )}
      {hub.found && (
        <HubResults
          found={hub.found}
          downloads={downloads}
          onDownload={(repo) => {
            onDownload(repo, quantization);
          }}
        />
      )}
      {error && !catalogue && (
        <LoadError text={t("models.catalogueNotRead")} error={error} onRetry={refresh} />
      )}
      {!catalogue && !error && <ViewLoading />}
      {catalogue && found.length === 0 && (
        <p className="text-sm text-muted">{t("models.listNone")}</p>
      )}
      <Suggestions
        found={found}
        quickBytes={catalogue?.quick_bytes ?? 0}
        downloads={downloads}
        onDownload={(repo, recommended) => {
          // The list names a file of the repository, unless other weights are chosen.
          onDownload(repo, quantization === "q4" ? recommended : quantization);
        }}
      />
    </section>
  );
}

interface SuggestionsProps {
  found: readonly Suggestion[];
  /** The suggestion is no larger than this: larger models may fit, but be slow. */
  quickBytes: number;
  downloads: readonly Download[];
  onDownload: (repo: string, quantization: string) => void;
}

function Suggestions({ found, quickBytes, downloads, onDownload }: SuggestionsProps) {
  const { t } = useTranslation();
  const best = found.findLast(
    ({ fits, downloaded, model }) => fits === "fits" && !downloaded && model.size <= quickBytes,
  );
  const big = found.filter(({ fits }) => fits === "too_big");
  const list = (some: readonly Suggestion[]) => (
    <ul className="flex flex-col gap-2">
      {some.map((suggestion) => (
        <li key={suggestion.model.id}>
          <SuggestionCard
            suggestion={suggestion}
            recommended={suggestion === best}
            download={downloads.find(({ repo }) => repo === suggestion.model.repo)}
            onDownload={() => {
              onDownload(suggestion.model.repo, suggestion.model.quantization);
            }}
          />
        </li>
      ))}
    </ul>
  );
  return (
    <>
      {list([
        ...found.filter((one) => one === best),
        ...found.filter((one) => one !== best && one.fits !== "too_big"),
      ])}
      {big.length > 0 && (
        <details className="flex flex-col gap-2">
          <summary className="mb-2 w-fit cursor-pointer rounded-control text-sm text-muted hover:text-text">
            {t("models.showBig", { count: big.length, formatted: formatCount(big.length) })}
          </summary>
          {list(big)}
        </details>
      )}
    </>
  );
}

function fitsWords({ model }: Suggestion, words: string): boolean {
  const text = `${model.title} ${model.family} ${model.repo} ${model.names.join(" ")}`.toLowerCase();
  return words
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

/** Searches the hub on request; a newer search replaces an older one. */
function useHub() {
  const [found, setFound] = useState<readonly HubModel[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [searching, setSearching] = useState(false);
  const running = useRef<AbortController | null>(null);

  useEffect(() => () => running.current?.abort(), []);

  const search = async (words: string) => {
    if (words === "") return;
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    setSearching(true);
    setFailure(null);
    try {
      setFound((await searchHub(words, abort.signal)).hub);
    } catch (error) {
      if (abort.signal.aborted) return;
      setFound(null);
      setFailure((error as Error).message);
    }
    if (running.current === abort) setSearching(false);
  };
  return { found, failure, searching, search };
}
