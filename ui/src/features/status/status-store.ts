import { createStore, type StoreApi } from "zustand/vanilla";

import { ApiError } from "@/api/client";
import { getStatus } from "@/api/endpoints";
import type { ModelStatus, ServerStatus } from "@/api/types";
import { backOff } from "@/lib/back-off";

const loadingMs = 1000;
const readyMs = 10_000;
const timeoutMs = 5000;

/** The progress of a loading model when it was first seen, to estimate the time left. */
export interface LoadStart {
  modelId: string;
  at: number;
  progress: number;
}

export interface StatusState {
  reach: "unknown" | "up" | "down";
  /** The latest status; kept while the server is unreachable. */
  server: ServerStatus | null;
  loadStart: LoadStart | null;
  /** The model that answers in the open chat; null: not known. */
  chosenId: string | null;
  /** Unix milliseconds of the next attempt while the server is unreachable. */
  nextTryAt: number | null;

  /** Another model answers in the open chat. */
  choose: (modelId: string | null) => void;
  /** Polls the server until the returned function is called. */
  watch: () => () => void;
  /** Requests the status now. */
  probe: () => void;
  /** Polls every second, for the status view, until the returned function is called. */
  watchClosely: () => () => void;
}

export interface StatusStoreDeps {
  /** The server is reachable again. */
  onBack: () => void;
}

export type StatusStore = StoreApi<StatusState>;

/**
 * The model that serves requests of the open chat: the chosen one, or what stands in for one that is
 * not on this machine: a ready one, else a loading one, else any.
 */
export function servingModel({
  server,
  chosenId,
}: Pick<StatusState, "server" | "chosenId">): ModelStatus | null {
  const models = server?.models ?? [];
  const chosen = models.find(({ id }) => id === chosenId);
  if (chosen && !chosen.missing) return chosen;
  return (
    models.find(({ state }) => state === "ready") ??
    models.find(({ state }) => state === "loading") ??
    models.find(({ state }) => state === "failing") ??
    models[0] ??
    null
  );
}

export function createStatusStore(deps: StatusStoreDeps): StatusStore {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let watchers = 0;
  let fastWatchers = 0;
  let requesting = false;
  let failures = 0;

  return createStore<StatusState>()((set, get) => {
    function later(ms: number) {
      clearTimeout(timer);
      if (watchers > 0) timer = setTimeout(() => void request(), ms);
    }

    function received(server: ServerStatus) {
      const wasDown = get().reach === "down";
      const { chosenId } = get();
      const model = servingModel({ server, chosenId });
      failures = 0;
      set(({ loadStart }) => ({
        reach: "up",
        server,
        nextTryAt: null,
        loadStart: model?.state === "loading" ? startOf(model, loadStart) : null,
      }));
      const loading = server.models.some(({ state }) => state === "loading");
      later(loading || fastWatchers > 0 ? loadingMs : readyMs);
      if (wasDown) deps.onBack();
    }

    async function request() {
      if (requesting) return;
      requesting = true;
      clearTimeout(timer);
      try {
        received(await getStatus(AbortSignal.timeout(timeoutMs)));
      } catch (error) {
        // Refused: the server is there. Whoever is to sign in again is asked to elsewhere.
        if (error instanceof ApiError && error.status < 500) {
          failures = 0;
          set({ reach: "up", nextTryAt: null });
          later(readyMs);
          return;
        }
        const wait = backOff(failures, 1000, 15_000);
        failures += 1;
        set({ reach: "down", nextTryAt: Date.now() + wait });
        later(wait);
      } finally {
        requesting = false;
      }
    }

    function requestIfVisible() {
      if (document.visibilityState === "visible") void request();
    }

    return {
      reach: "unknown",
      server: null,
      loadStart: null,
      chosenId: null,
      nextTryAt: null,

      choose(chosenId) {
        if (chosenId === get().chosenId) return;
        set({ chosenId, loadStart: null });
        const model = servingModel(get());
        if (model?.state === "loading") set({ loadStart: startOf(model, null) });
      },
      watch() {
        watchers += 1;
        void request();
        window.addEventListener("online", requestIfVisible);
        document.addEventListener("visibilitychange", requestIfVisible);
        return () => {
          watchers -= 1;
          clearTimeout(timer);
          window.removeEventListener("online", requestIfVisible);
          document.removeEventListener("visibilitychange", requestIfVisible);
        };
      },
      probe() {
        void request();
      },
      watchClosely() {
        fastWatchers += 1;
        void request();
        return () => {
          fastWatchers -= 1;
        };
      },
    };
  });
}

function startOf(model: ModelStatus, before: LoadStart | null): LoadStart {
  if (before?.modelId === model.id && model.progress >= before.progress) return before;
  return { modelId: model.id, at: Date.now(), progress: model.progress };
}

/** Estimated seconds until a loading model is ready; null: too early to tell. */
export function secondsLeft(start: LoadStart, progress: number, now: number): number | null {
  const gained = progress - start.progress;
  const spent = (now - start.at) / 1000;
  if (gained < 0.05 || spent < 2) return null;
  return ((1 - progress) * spent) / gained;
}
