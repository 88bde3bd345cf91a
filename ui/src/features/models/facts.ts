import type { TFunction } from "i18next";

import type { Download, LocalModel, Suggestion } from "@/api/types";
import { formatBytes, formatCount, formatDecimal, formatSeconds } from "@/lib/format";

function some(facts: (string | false | null)[]): string[] {
  return facts.filter((fact): fact is string => typeof fact === "string" && fact !== "");
}

function contextOf(tokens: number, t: TFunction): string | false {
  return tokens > 0 && t("models.context", { formatted: formatCount(tokens) });
}

/** The facts about a model on this machine, most important first. */
export function factsOf(model: LocalModel, t: TFunction): string[] {
  const { quantization, size, memory_bytes: memory, fits, architecture, licence, embeds } = model;
  const { tools, thinks, not_for_agents: unfit } = model;
  return some([
    embeds && t("models.embeds"),
    quantization,
    size > 0 && formatBytes(size),
    memory > 0 && t("models.memory", { size: formatBytes(memory) }),
    contextOf(model.n_ctx ?? model.context_length, t),
    fits !== null && model.status !== "ready" && t(`models.fits.${fits}`),
    tools && t("models.tools"),
    thinks && t("models.thinks"),
    !embeds && t(unfit === "" ? "models.agents" : "models.noAgents"),
    architecture,
    licence,
  ]);
}

/** What a model can do, and how much of the memory it takes, as small print. */
export function abilitiesOf(model: LocalModel, t: TFunction): string[] {
  return some([
    model.thinks && t("models.thinks"),
    model.tools && t("models.tools"),
    contextOf(model.n_ctx ?? model.context_length, t),
    model.memory_bytes > 0 && t("models.memory", { size: formatBytes(model.memory_bytes) }),
    model.fits === "too_big" && t("models.fits.too_big"),
  ]);
}

/** Where the file comes from. */
export function ownerOf({ owner }: LocalModel, t: TFunction): string {
  return t(`models.owner.${owner === "llama.cpp" ? "llamacpp" : owner}`);
}

/** The facts about a suggested model. */
export function suggestionFacts({ model }: Suggestion, t: TFunction): string[] {
  return some([
    parametersOf(model.parameters, t),
    model.quantization,
    formatBytes(model.size),
    contextOf(model.context_length, t),
    model.licence,
  ]);
}

function parametersOf(count: number, t: TFunction): string {
  const formatted =
    count >= 1e9
      ? t("models.billions", { value: formatDecimal(count / 1e9, count < 1e10 ? 1 : 0) })
      : t("models.millions", { value: formatDecimal(count / 1e6, 0) });
  return t("models.parameters", { formatted });
}

/** The progress of a download, and the time left. */
export function progressOf(download: Download, t: TFunction): string {
  const { status, done_bytes: done, total_bytes: total, bytes_per_second: speed } = download;
  const left = status === "running" && speed > 0 ? (total - done) / speed : null;
  return some([
    t(`models.downloadState.${status}`),
    t("models.ofTotal", { done: formatBytes(done), total: formatBytes(total) }),
    status === "running" && speed > 0 && t("models.perSecond", { size: formatBytes(speed) }),
    left !== null && t("models.left", { time: formatSeconds(Math.max(1, left)) }),
  ]).join(" · ");
}

/** Whether a download is in progress, or can be resumed. */
export function isOpen({ status }: Download): boolean {
  return status !== "done" && status !== "cancelled";
}
