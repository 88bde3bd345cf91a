import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it } from "vitest";

import type { Download, HubModel, LocalModel, Suggestion } from "@/api/types";
import { createToastStore, ToastContext, Toasts } from "@/components/toasts";
import { ModelsView } from "@/features/models/models-view";
import { fakeRoutes, refusal, type RecordedRequest } from "@/testing/fake-routes";

const local: LocalModel = {
  id: "tiny",
  name: "Tiny",
  path: "/models/tiny.gguf",
  owner: "bundled",
  repo: "",
  architecture: "llama",
  quantization: "Q4_K_M",
  licence: "apache-2.0",
  size: 100_000_000,
  context_length: 8192,
  memory_bytes: 200_000_000,
  memory: {
    weights: 100_000_000,
    cache: 60_000_000,
    slots: 1,
    compute: 0,
    saved: 10_000_000,
    process: 30_000_000,
    gpu: 0,
    measured: true,
  },
  fits: "fits",
  parameters: 134_515_008,
  embeds: false,
  tools: false,
  thinks: false,
  downloaded: true,
  default: true,
  status: "ready",
  progress: 1,
  detail: null,
  n_ctx: 4096,
  device: "CPU",
  aliases: [],
  not_for_agents: "it was not trained to call tools",
  warning: null,
};

function listed(id: string, fits: Suggestion["fits"], size: number): Suggestion {
  return {
    fits,
    downloaded: false,
    model: {
      id,
      title: `Model ${id}`,
      family: "Family",
      repo: `owner/${id}-GGUF`,
      names: [`owner/${id}`],
      licence: "MIT",
      parameters: 1_500_000_000,
      context_length: 32768,
      size,
      quantization: "Q4_K_M",
      about: `About ${id}`,
    },
  };
}

let models: LocalModel[];
let downloads: Download[];
let hub: HubModel[];
let offline: boolean;
let quickBytes: number;
let chosen: string | null;
let calls: RecordedRequest[];

function change(id: string, part: Partial<Download>) {
  downloads = downloads.map((one) => (one.id === id ? { ...one, ...part } : one));
  return downloads.find((one) => one.id === id);
}

beforeEach(() => {
  models = [local];
  downloads = [];
  hub = [];
  offline = false;
  quickBytes = 5_000_000_000;
  chosen = null;
  const suggestions = [
    listed("small", "fits", 500_000_000),
    listed("middle", "fits", 2_000_000_000),
    listed("large", "partly", 9_000_000_000),
    listed("huge", "too_big", 90_000_000_000),
  ];
  calls = fakeRoutes({
    "GET /api/models": () => ({ models }),
    "GET /api/settings": () => ({ model: chosen, defaults: { model: "tiny" } }),
    "PATCH /api/settings": ({ body }) => {
      chosen = (body as { model: string }).model;
      return {};
    },
    "GET /api/catalogue": ({ path }) => ({
      models: suggestions,
      quick_bytes: quickBytes,
      hub: path.includes("?q=") ? hub : [],
      offline,
    }),
    "GET /api/downloads": () => ({ downloads }),
    "POST /api/downloads": ({ body }) => {
      const { model } = body as { model: string };
      const begun: Download = {
        id: "d1",
        repo: model,
        file: "weights.gguf",
        files: 1,
        licence: "MIT",
        status: "running",
        done_bytes: 500_000_000,
        total_bytes: 2_000_000_000,
        bytes_per_second: 50_000_000,
        error: null,
        created_at: 0,
      };
      downloads = [begun];
      return begun;
    },
    "POST /api/downloads/d1/pause": () => change("d1", { status: "paused" }),
    "POST /api/downloads/d1/resume": () => change("d1", { status: "running" }),
    "POST /api/downloads/d1/cancel": () => change("d1", { status: "cancelled" }),
    "POST /api/models/tiny/unload": () => {
      models = [{ ...local, status: "unloaded", device: null }];
      return models[0];
    },
    "POST /api/models/tiny/load": () => refusal(507, "out_of_memory", "There is no room for it."),
    "DELETE /api/models/owner/mine": () => {
      models = [local];
      return new Response(null, { status: 204 });
    },
  });
});

async function show(manages = true) {
  const view = render(
    <ToastContext value={createToastStore()}>
      <ModelsView manages={manages} onModelsChanged={() => undefined} />
      <Toasts />
    </ToastContext>,
  );
  await screen.findByRole("article", { name: "Tiny" });
  return view;
}

const asked = (call: string) =>
  calls.filter(({ method, path }) => `${method} ${path}` === call).map(({ body }) => body);
const card = (name: string) => within(screen.getByRole("article", { name }));

describe("the models on this machine", () => {
  it("are listed with owner, size, quantization, context and licence", async () => {
    await show();
    const text = screen.getByRole("article", { name: "Tiny" }).textContent;
    for (const fact of ["In use", "Ready", "Q4_K_M", "100 MB", "4,096 tokens", "apache-2.0"]) {
      expect(text).toContain(fact);
    }
    expect(text).toContain("Comes with the appliance");
  });

  it("tell what they take of memory and what for, once they are loaded", async () => {
    const { memory } = local;
    const asleep = memory && { ...memory, measured: false };
    models = [local, { ...local, id: "asleep", name: "Asleep", memory: asleep }];
    await show();
    const parts = "weights 100 MB · room for chats 60 MB · saved chats 10 MB · process overhead 30 MB";
    expect(card("Tiny").getByText(parts)).toBeTruthy();
    expect(card("Asleep").queryByText(parts)).toBeNull();
    expect(card("Asleep").getByText(/200 MB of memory/)).toBeTruthy();
  });

  it("are unloaded at a press; a refusal says why", async () => {
    const user = userEvent.setup();
    await show();
    await user.click(card("Tiny").getByRole("button", { name: /^Unload/ }));
    await user.click(await card("Tiny").findByRole("button", { name: /^Load/ }));
    expect(await screen.findByText("That did not work. There is no room for it.")).toBeTruthy();
  });

  it("can be chosen for every chat, and removed if they are ours, after a question", async () => {
    const user = userEvent.setup();
    models = [local, { ...local, id: "owner/mine", name: "Mine", owner: "appliance" }];
    await show();
    await user.click(card("Mine").getByRole("button", { name: /Use for every chat/ }));
    expect(await card("Mine").findByText("In use")).toBeTruthy();
    expect(asked("PATCH /api/settings")).toEqual([{ model: "owner/mine" }]);
    expect(card("Tiny").queryByRole("button", { name: /Remove/ })).toBeNull();
    await user.click(card("Mine").getByRole("button", { name: "Remove Mine" }));
    const dialog = screen.getByRole("dialog", { name: "Remove this model?" });
    await user.click(within(dialog).getByRole("button", { name: "Remove" }));
    await waitFor(() => {
      expect(screen.queryByRole("article", { name: "Mine" })).toBeNull();
    });
  });

  it("are only looked at by those who may not manage", async () => {
    await show(false);
    expect(screen.queryByRole("button")).toBeNull();
    expect(screen.queryByRole("search")).toBeNull();
    expect(calls.map(({ path }) => path)).not.toContain("/api/catalogue");
  });
});

describe("the catalogue", () => {
  it("says what fits, suggests the largest that does, and puts away what is too big", async () => {
    await show();
    expect(await card("Model middle").findByText("Suggested for this machine")).toBeTruthy();
    expect(card("Model middle").getByText("Fits into memory")).toBeTruthy();
    expect(card("Model large").getByText("Fits partly")).toBeTruthy();
    expect(screen.getByText("Show 1 that is too big").tagName).toBe("SUMMARY");
  });

  it("suggests nothing that would be slow on this machine", async () => {
    quickBytes = 1_200_000_000;
    await show();
    expect(await card("Model small").findByText("Suggested for this machine")).toBeTruthy();
    expect(card("Model middle").queryByText("Suggested for this machine")).toBeNull();
  });

  it("searches the hub on Enter, not while typing", async () => {
    const user = userEvent.setup();
    hub = [{ repo: "who/what-GGUF", licence: "mit", downloads: 1200, likes: 3, gated: true }];
    await show();
    await screen.findByRole("article", { name: "Model middle" });
    await user.type(screen.getByRole("searchbox", { name: "Name of a model" }), "mid");
    expect(screen.queryByRole("article", { name: "Model small" })).toBeNull();
    expect(calls.some(({ path }) => path.includes("?q="))).toBe(false);
    await user.keyboard("{Enter}");
    expect(await screen.findByText("who/what-GGUF", { selector: "p" })).toBeTruthy();
    expect(screen.getByText(/1,200 downloads · 3 likes · Needs a token, and your consent/)).toBeTruthy();
    await user.selectOptions(screen.getByRole("combobox", { name: "Weights" }), "q8");
    await user.click(screen.getByRole("button", { name: "Download who/what-GGUF" }));
    expect(asked("POST /api/downloads")).toEqual([{ model: "who/what-GGUF", quantization: "q8" }]);
  });

  it("says so when nobody outside may be asked", async () => {
    offline = true;
    const user = userEvent.setup();
    await show();
    expect(await screen.findByText(/set to work offline/)).toBeTruthy();
    await user.type(screen.getByRole("searchbox"), "mid");
    expect(screen.getByRole("button", { name: "Search the hub" })).toHaveProperty("disabled", true);
  });
});

describe("a download", () => {
  const row = () => screen.findByRole("article", { name: "Download of owner/middle-GGUF" });

  it("shows how far it is, and is paused, resumed and cancelled", async () => {
    const user = userEvent.setup();
    await show();
    await user.click(await screen.findByRole("button", { name: "Download Model middle" }));
    expect(asked("POST /api/downloads")).toEqual([
      { model: "owner/middle-GGUF", quantization: "Q4_K_M" },
    ]);
    const shown = within(await row());
    expect(
      shown.getByText("Downloading · 500 MB of 2.0 GB · 50 MB/s · about 30 s left"),
    ).toBeTruthy();
    expect(shown.getByRole("progressbar").getAttribute("aria-valuenow")).toBe("25");
    await user.click(shown.getByRole("button", { name: /^Pause/ }));
    await user.click(await shown.findByRole("button", { name: /^Resume/ }));
    await user.click(await shown.findByRole("button", { name: /^Cancel/ }));
    await waitFor(() => {
      expect(screen.queryByRole("article", { name: /^Download of/ })).toBeNull();
    });
  });

  it("that broke says why, and can be tried again", async () => {
    const user = userEvent.setup();
    await show();
    await user.click(await screen.findByRole("button", { name: "Download Model middle" }));
    const shown = within(await row());
    change("d1", { status: "failed", error: "The disk is full." });
    expect(await shown.findByText("The disk is full.")).toBeTruthy();
    await user.click(shown.getByRole("button", { name: /^Try again/ }));
    expect(await shown.findByRole("button", { name: /^Pause/ })).toBeTruthy();
  });

  it("that arrives is on the machine, and says so", async () => {
    const user = userEvent.setup();
    await show();
    await user.click(await screen.findByRole("button", { name: "Download Model middle" }));
    await row();
    models = [local, { ...local, id: "owner/middle", name: "Middle", owner: "appliance" }];
    change("d1", { status: "done" });
    expect(await screen.findByText("owner/middle-GGUF has been downloaded.")).toBeTruthy();
    expect(await screen.findByRole("article", { name: "Middle" })).toBeTruthy();
  });
});
