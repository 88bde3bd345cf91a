import { createStore, type StoreApi } from "zustand/vanilla";

import { getStatus } from "@/api/endpoints";
import type { ModelStatus, ServerStatus } from "@/api/types";
import { backOff } from "@/lib/back-off";

const loadingMs = 1000;
const readyMs = 10_000;
const patienceMs = 5000;

/** Where a loading model stood when it was first seen, to tell how long is left. */
export interface LoadStart {
  modelId: string;
  at: number;
  progress: number;
}

export interface StatusState {
  reach: "unknown" | "up" | "down";
  /** The newest answer; kept while the server is away. */
  server: ServerStatus | null;
  loadStart: LoadStart | null;
  /** Unix milliseconds of the next try while the server is away. */
  nextTryAt: number | null;

  /** Watches the server until the returned function is called. */
  watch: () => () => void;
  /** Asks at once. */
  probe: () => void;
  /** Asks every second, for who looks at the figures, until the returned function is called. */
  hurry: () => () => void;
}

export interface StatusStoreDeps {
  /** The server answers again after it did not. */
  onBack: () => void;
}

export type StatusStore = StoreApi<StatusState>;

/** The model that answers: a ready one, else one on its way, else whatever there is. */
export function servingModel(server: ServerStatus | null): ModelStatus | null {
  const models = server?.models ?? [];
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
  let hurried = 0;
  let asking = false;
  let failures = 0;

  return createStore<StatusState>()((set, get) => {
    function later(ms: number) {
      clearTimeout(timer);
      if (watchers > 0) timer = setTimeout(() => void ask(), ms);
    }

    function answered(server: ServerStatus) {
      const wasDown = get().reach === "down";
      const model = servingModel(server);
      failures = 0;
      set(({ loadStart }) => ({
        reach: "up",
        server,
        nextTryAt: null,
        loadStart: model?.state === "loading" ? startOf(model, loadStart) : null,
      }));
      later(model?.state === "loading" || hurried > 0 ? loadingMs : readyMs);
      if (wasDown) deps.onBack();
    }

    async function ask() {
      if (asking) return;
      asking = true;
      clearTimeout(timer);
      try {
        answered(await getStatus(AbortSignal.timeout(patienceMs)));
      } catch {
        const wait = backOff(failures, 1000, 15_000);
        failures += 1;
        set({ reach: "down", nextTryAt: Date.now() + wait });
        later(wait);
      } finally {
        asking = false;
      }
    }

    function seen() {
      if (document.visibilityState === "visible") void ask();
    }

    return {
      reach: "unknown",
      server: null,
      loadStart: null,
      nextTryAt: null,

      watch() {
        watchers += 1;
        void ask();
        window.addEventListener("online", seen);
        document.addEventListener("visibilitychange", seen);
        return () => {
          watchers -= 1;
          clearTimeout(timer);
          window.removeEventListener("online", seen);
          document.removeEventListener("visibilitychange", seen);
        };
      },
      probe() {
        void ask();
      },
      hurry() {
        hurried += 1;
        void ask();
        return () => {
          hurried -= 1;
        };
      },
    };
  });
}

function startOf(model: ModelStatus, before: LoadStart | null): LoadStart {
  if (before?.modelId === model.id && model.progress >= before.progress) return before;
  return { modelId: model.id, at: Date.now(), progress: model.progress };
}

/** Seconds until a loading model is ready, by its speed so far; null: too early to tell. */
export function secondsLeft(start: LoadStart, progress: number, now: number): number | null {
  const gained = progress - start.progress;
  const spent = (now - start.at) / 1000;
  if (gained < 0.05 || spent < 2) return null;
  return ((1 - progress) * spent) / gained;
}
