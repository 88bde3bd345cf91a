/** Requests of the models view. */

import { sendForJson, send } from "@/api/client";
import type { Catalogue, Download, LocalModel } from "@/api/types";

/** Ids may contain slashes, as names on the hub do; the path keeps them. */
function modelPath(id: string, rest: string): string {
  return `/api/models/${id.split("/").map(encodeURIComponent).join("/")}${rest}`;
}

function optional(signal: AbortSignal | undefined) {
  return signal ? { signal } : {};
}

export async function listModels(signal?: AbortSignal): Promise<LocalModel[]> {
  return (await sendForJson<{ models: LocalModel[] }>("/api/models", optional(signal))).models;
}

export function loadModel(id: string): Promise<LocalModel> {
  return sendForJson(modelPath(id, "/load"), { method: "POST" });
}

export function unloadModel(id: string): Promise<LocalModel> {
  return sendForJson(modelPath(id, "/unload"), { method: "POST" });
}

export async function removeModel(id: string): Promise<void> {
  await send(modelPath(id, ""), { method: "DELETE" });
}

/** The bundled list; makes no request to the hub. */
export function getCatalogue(signal?: AbortSignal): Promise<Catalogue> {
  return sendForJson("/api/catalogue", optional(signal));
}

/** Searches the hub. */
export function searchHub(words: string, signal?: AbortSignal): Promise<Catalogue> {
  return sendForJson(`/api/catalogue?q=${encodeURIComponent(words)}`, optional(signal));
}

export async function listDownloads(signal?: AbortSignal): Promise<Download[]> {
  return (await sendForJson<{ downloads: Download[] }>("/api/downloads", optional(signal)))
    .downloads;
}

export function beginDownload(model: string, quantization: string): Promise<Download> {
  return sendForJson("/api/downloads", { method: "POST", body: { model, quantization } });
}

export type DownloadAction = "pause" | "resume" | "cancel";

export function controlDownload(id: string, action: DownloadAction): Promise<Download> {
  return sendForJson(`/api/downloads/${encodeURIComponent(id)}/${action}`, { method: "POST" });
}
