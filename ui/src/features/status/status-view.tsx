import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";

import type { DeviceStatus, Figures } from "@/api/types";
import { MemoryParts, type MemoryUsage } from "@/components/memory-parts";
import { ViewPage } from "@/components/view-page";
import { Gauge } from "@/features/status/gauge";
import { SpeedLine } from "@/features/status/speed-line";
import { useStatus } from "@/features/status/status-context";
import { classNames } from "@/lib/class-names";
import { formatBytes, formatCount, formatRate, formatSeconds } from "@/lib/format";

/** The state of the appliance, updated every second. */
export function StatusView() {
  const { t } = useTranslation();
  const watchClosely = useStatus((state) => state.watchClosely);
  const server = useStatus((state) => state.server);
  const speeds = useSpeeds();

  useEffect(watchClosely, [watchClosely]);

  const figures = server?.figures;
  return (
    <ViewPage title={t("status.title")} lead={t("status.lead")}>
      {figures && (
        <>
          <Now figures={figures} />
          <section aria-label={t("status.history")}>
            <h3 className="mb-2 text-sm font-medium">{t("status.history")}</h3>
            <SpeedLine speeds={speeds} />
          </section>
          <ProcessorSection figures={figures} />
          <MemorySection figures={figures} />
        </>
      )}
      {server?.devices && <Devices devices={server.devices} />}
      {server?.refused_variants && <RefusedVariants refused={server.refused_variants} />}
      {server && <Facts version={server.version} seconds={server.uptime_seconds} figures={figures} />}
    </ViewPage>
  );
}

function Now({ figures }: { figures: Figures }) {
  const { t } = useTranslation();
  const { tokens_per_second, time_to_first_token_ms, tokens_saved, tokens_prefilled } = figures;
  const none = "–";
  const total = tokens_saved + tokens_prefilled;
  const cells: [string, string, string?][] = [
    [t("status.speed"), tokens_per_second ? formatRate(tokens_per_second) : none],
    [
      t("status.firstToken"),
      time_to_first_token_ms ? formatSeconds(time_to_first_token_ms / 1000) : none,
    ],
    [t("status.running"), formatCount(figures.requests_running)],
    [t("status.waiting"), formatCount(figures.requests_waiting)],
    [
      t("status.saved"),
      total === 0 ? none : t("units.percent", { value: Math.round((100 * tokens_saved) / total) }),
      total === 0
        ? ""
        : t("status.savedOf", { saved: formatCount(tokens_saved), total: formatCount(total) }),
    ],
    [t("status.kv"), formatBytes(figures.kv_bytes)],
  ];
  return (
    <section aria-label={t("status.now")}>
      <dl className="grid grid-cols-2 gap-px overflow-hidden rounded-panel border border-line bg-line sm:grid-cols-3">
        {cells.map(([name, value, note]) => (
          <div key={name} className="bg-bg px-4 py-3.5">
            <dt className="text-[0.8125rem] text-muted">{name}</dt>
            <dd className="mt-0.5 text-xl font-semibold tabular-nums">
              {value}
              {note && <span className="ms-2 text-xs font-normal text-faint">{note}</span>}
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function ProcessorSection({ figures }: { figures: Figures }) {
  const { t } = useTranslation();
  const { threads, used, appliance } = figures.processor;
  const percent = (share: number) => t("units.percent", { value: Math.round(100 * share) });
  return (
    <section aria-label={t("status.processor")}>
      <h3 className="mb-2 text-sm font-medium">{t("status.processor")}</h3>
      <Gauge label={t("status.processor")} total={1} ours={appliance} available={1 - used} />
      <p className="mt-2 text-[0.8125rem] text-muted tabular-nums">
        {t("status.processorOf", {
          used: percent(used),
          ours: percent(appliance),
          threads: formatCount(threads),
        })}
      </p>
    </section>
  );
}

function MemorySection({ figures }: { figures: Figures }) {
  const { t } = useTranslation();
  const { total, available, appliance, workers, models } = figures.memory;
  const ours = appliance + workers;
  return (
    <section aria-label={t("status.memory")}>
      <h3 className="mb-2 text-sm font-medium">{t("status.memory")}</h3>
      <Gauge label={t("status.memory")} total={total} ours={ours} available={available} />
      <p className="mt-2 text-[0.8125rem] text-muted tabular-nums">
        {t("status.memoryOf", {
          used: formatBytes(ours),
          free: formatBytes(available),
          total: formatBytes(total),
        })}
      </p>
      <ul className="mt-3 flex flex-col gap-2 text-sm tabular-nums">
        {models.map(({ id, name, memory }) => (
          <li key={id}>
            <p>
              <span className="font-medium">{name}</span>
              <span className="ms-2 text-muted">{formatBytes(sumOf(memory))}</span>
            </p>
            <MemoryParts parts={memory} className="text-[0.8125rem] text-muted" />
          </li>
        ))}
        <li>
          {t("status.itself")}
          <span className="ms-2 text-muted">{formatBytes(appliance)}</span>
        </li>
      </ul>
    </section>
  );
}

function sumOf({ weights, cache, compute, saved, process }: MemoryUsage): number {
  return weights + cache + compute + saved + process;
}

/** Variants of llama.cpp that compute wrong results on this machine, if any. */
function Devices({ devices }: { devices: readonly DeviceStatus[] }) {
  const { t } = useTranslation();
  if (devices.length === 0) return null;
  return (
    <section aria-label={t("status.devices")}>
      <h3 className="mb-2 text-sm font-medium">{t("status.devices")}</h3>
      <ul className="flex flex-col gap-3 text-sm">
        {devices.map(({ name, family, description, driver, free, total, trust, detail }) => (
          <li key={name}>
            <p>
              <span className="font-medium">{name}</span>
              <span className="ms-2 text-muted">
                {[description, driver].filter(Boolean).join(" · ")}
              </span>
            </p>
            {total > 0 && family !== "cpu" && (
              <Gauge
                label={`${t("status.memory")}, ${name}`}
                total={total}
                ours={0}
                available={free}
              />
            )}
            {total > 0 && (
              <p className="text-[0.8125rem] text-muted tabular-nums">
                {t("status.deviceMemory", { free: formatBytes(free), total: formatBytes(total) })}
              </p>
            )}
            {trust === "unproven" && <p className="text-muted">{t("status.deviceUnproven")}</p>}
            {detail !== "" && (
              <p
                className={classNames(
                  "wrap-anywhere",
                  trust === "slow" ? "text-muted" : "text-warn",
                )}
              >
                {detail}
              </p>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function RefusedVariants({ refused }: { refused: Record<string, string> }) {
  const { t } = useTranslation();
  const found = Object.entries(refused);
  if (found.length === 0) return null;
  return (
    <section aria-label={t("status.refusedVariants")}>
      <h3 className="mb-2 text-sm font-medium">{t("status.refusedVariants")}</h3>
      <dl className="grid w-fit grid-cols-[auto_auto] gap-x-8 gap-y-1 text-sm">
        {found.map(([name, reason]) => (
          <div key={name} className="contents">
            <dt className="text-muted">{name}</dt>
            <dd>{reason}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

interface FactsProps {
  version: string;
  seconds: number;
  figures: Figures | undefined;
}

function Facts({ version, seconds, figures }: FactsProps) {
  const { t } = useTranslation();
  const rows: [string, string][] = [
    [t("status.uptime"), formatSeconds(Math.max(10, seconds))],
    [t("status.version"), version],
  ];
  if (figures) rows.push([t("status.restarts"), formatCount(figures.worker_restarts)]);
  return (
    <section aria-label={t("status.machine")}>
      <h3 className="mb-2 text-sm font-medium">{t("status.machine")}</h3>
      <dl className="grid w-fit grid-cols-[auto_auto] gap-x-8 gap-y-1 text-sm tabular-nums">
        {rows.map(([name, value]) => (
          <div key={name} className="contents">
            <dt className="text-muted">{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

const remembered = 180;

/** The speeds since the view was opened, newest last. */
function useSpeeds(): readonly number[] {
  const server = useStatus((state) => state.server);
  const [seen, setSeen] = useState<{ at: unknown; speeds: readonly number[] }>({
    at: null,
    speeds: [],
  });
  if (server?.figures && seen.at !== server) {
    const speed = server.figures.requests_running > 0 ? server.figures.tokens_per_second : 0;
    setSeen({ at: server, speeds: [...seen.speeds, speed].slice(-remembered) });
  }
  return seen.speeds;
}
