import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";

import { getProfile } from "@/api/settings";
import { CopyButton } from "@/components/copy-button";
import { ViewPage } from "@/components/view-page";
import { RequestLog } from "@/features/developers/request-log";
import { SnippetTabs } from "@/features/developers/snippet-tabs";
import { usePolled } from "@/lib/use-polled";

const placeholderKey = "YOUR_KEY";

async function readModel(signal: AbortSignal): Promise<string | null> {
  const { model, defaults } = await getProfile(signal);
  return model ?? defaults.model;
}

const everyMs = () => 60_000;

/** How other programs use this server, and what they asked of it. */
export function DevelopersView() {
  const { t } = useTranslation();
  const { value: model } = usePolled(readModel, everyMs);
  const url = window.location.origin;
  const addresses: [string, string][] = [
    [t("developers.openai"), `${url}/v1`],
    [t("developers.others"), url],
  ];
  return (
    <ViewPage title={t("developers.title")} lead={t("developers.lead")}>
      <Section title={t("developers.address")}>
        <dl className="divide-y divide-line rounded-panel border border-line text-sm">
          {addresses.map(([name, address]) => (
            <div key={address} className="flex items-center gap-x-4 ps-4 pe-1 max-sm:flex-wrap">
              <dt className="w-64 text-muted max-sm:w-full max-sm:pt-2">{name}</dt>
              <dd className="flex min-w-0 flex-1 items-center justify-between gap-2">
                <code className="min-w-0 py-2 font-mono text-[0.8125rem] break-all" dir="ltr">
                  {address}
                </code>
                <CopyButton label={t("developers.copyAddress", { address })} text={() => address} />
              </dd>
            </div>
          ))}
        </dl>
        <p className="mt-3 text-[0.8125rem] text-muted text-pretty">{t("developers.key")}</p>
      </Section>
      <Section title={t("developers.snippets")}>
        <SnippetTabs target={{ url, model: model ?? "MODEL", key: placeholderKey }} />
      </Section>
      <Section title={t("developers.requests")}>
        <RequestLog />
        <p className="mt-2 text-[0.8125rem] text-muted">{t("developers.requestsNote")}</p>
      </Section>
      <p className="flex flex-wrap gap-x-6 gap-y-2 text-sm">
        <a className="text-accent underline underline-offset-2" href="/docs" target="_blank" rel="noreferrer">
          {t("developers.docs")}
        </a>
        <a
          className="text-accent underline underline-offset-2"
          href="/openapi.json"
          target="_blank"
          rel="noreferrer"
        >
          {t("developers.openapi")}
        </a>
      </p>
    </ViewPage>
  );
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section aria-label={title}>
      <h3 className="mb-2 text-sm font-medium">{title}</h3>
      {children}
    </section>
  );
}
