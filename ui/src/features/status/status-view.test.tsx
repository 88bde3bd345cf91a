import { act, render, screen, within } from "@testing-library/react";
import { beforeEach, expect, it } from "vitest";

import type { Figures } from "@/api/types";
import { ModelLine } from "@/features/status/model-line";
import { StatusContext } from "@/features/status/status-context";
import { createStatusStore, type StatusStore } from "@/features/status/status-store";
import { StatusView } from "@/features/status/status-view";
import { WarmUp } from "@/features/status/warm-up";
import { aGpu, FakeApi, readyModel } from "@/testing/fake-api";

let api: FakeApi;
let status: StatusStore;

const figures = {
  tokens_per_second: 123.4,
  time_to_first_token_ms: 250,
  requests_running: 2,
  requests_waiting: 5,
  tokens_saved: 900,
  tokens_prefilled: 100,
  kv_bytes: 3_000_000,
  worker_restarts: 1,
  processor: { threads: 4, used: 0.5, appliance: 0.25 },
  memory: {
    total: 8e9,
    available: 3e9,
    appliance: 90e6,
    workers: 410e6,
    models: [
      {
        id: "tiny",
        name: "Tiny",
        memory: {
          weights: 100e6,
          cache: 250e6,
          slots: 4,
          compute: 10e6,
          saved: 0,
          process: 50e6,
          gpu: 0,
          measured: true,
        },
      },
    ],
  },
} as Figures;

beforeEach(() => {
  api = new FakeApi().install();
  api.server = { ...api.server, figures };
  status = createStatusStore({ onBack: () => undefined });
});

const valueOf = (name: string) =>
  screen.getByText(name, { selector: "dt" }).nextElementSibling?.textContent;

it("tells speed, line, memory and what was not read again, and follows them", async () => {
  const stop = status.getState().watch();
  render(
    <StatusContext value={status}>
      <StatusView />
    </StatusContext>,
  );
  await screen.findByText("Speed", { selector: "dt" });
  expect(valueOf("Speed")).toBe("123 tokens/s");
  expect(valueOf("First token")).toBe("0.3 s");
  expect(valueOf("Replies being written")).toBe("2");
  expect(valueOf("In the queue")).toBe("5");
  expect(valueOf("Prompt tokens reused")).toBe("90%900 of 1,000");
  expect(valueOf("Chats cached in memory")).toBe("3.0 MB");
  expect(valueOf("Model restarts")).toBe("1");
  expect(screen.getByText("500 MB used by the appliance, 3.0 GB of 8.0 GB free")).toBeTruthy();
  const parts =
    "weights 100 MB · room for 4 chats at a time 250 MB · compute buffers 10 MB · process overhead 50 MB";
  expect(screen.getByText(parts).parentElement?.textContent).toBe(`Tiny410 MB${parts}`);
  expect(screen.getByText("The appliance itself").textContent).toBe("The appliance itself90 MB");

  api.server = { ...api.server, figures: { ...figures, requests_waiting: 0 } };
  act(() => {
    status.getState().probe();
  });
  await screen.findByText("0", { selector: "dd" });
  expect(valueOf("In the queue")).toBe("0");
  stop();
});

it("lists what the machine computes with, its memory, and why something is not used", async () => {
  const gpu = aGpu({ trust: "wrong", detail: "Vulkan0 is not used: it says something else" });
  api.server = { ...api.server, devices: [gpu, aGpu({ name: "Vulkan1", trust: "unproven" })] };
  const stop = status.getState().watch();
  render(
    <StatusContext value={status}>
      <StatusView />
    </StatusContext>,
  );
  const list = await screen.findByRole("region", { name: "Devices" });
  const [wrong, unproven] = within(list).getAllByRole("listitem");
  expect(wrong?.textContent).toBe(
    "Vulkan0Big GPU · Mesa 26.06.0 GB of 8.0 GB freeVulkan0 is not used: it says something else",
  );
  expect(unproven?.textContent).toContain("Not yet checked against the processor");
  stop();
});

it("names the code that is not used here, and why", async () => {
  api.server = { ...api.server, refused_variants: { zen4: "its process died of SIGILL" } };
  const stop = status.getState().watch();
  render(
    <StatusContext value={status}>
      <StatusView />
    </StatusContext>,
  );
  await screen.findByText("Processor-specific code that is not used here");
  expect(valueOf("zen4")).toBe("its process died of SIGILL");
  stop();
});

it("never calls a model ready whose process died at the last requests", async () => {
  api.server = {
    ...api.server,
    models: [{ ...readyModel, state: "failing", detail: "SIGILL" }],
  };
  const stop = status.getState().watch();
  render(
    <StatusContext value={status}>
      <ModelLine />
      <WarmUp />
    </StatusContext>,
  );
  await screen.findByText("Tiny Instruct may not respond");
  expect(screen.getByText(/the last requests: SIGILL\. Send your message again/)).toBeTruthy();
  expect(screen.getByText("Not responding")).toBeTruthy();
  expect(screen.queryByText(/Ready/)).toBeNull();
  stop();
});
