import { act, render, screen, waitFor } from "@testing-library/react";
import { expect, it } from "vitest";

import { DeviceField } from "@/features/settings/device-field";
import { SettingsContext } from "@/features/settings/settings-context";
import { createSettingsStore } from "@/features/settings/settings-store";
import { aGpu, FakeApi, readyModel } from "@/testing/fake-api";

async function options(devices: string[], names: string[], chosen?: string) {
  new FakeApi().install();
  const nothing = () => undefined;
  const store = createSettingsStore({ onUnreachable: nothing, onSessionChanged: nothing });
  await act(() => store.getState().load(null));
  if (chosen !== undefined) store.getState().change("all", { device: chosen });
  const models = [{ ...readyModel, devices }];
  render(
    <SettingsContext value={store}>
      <DeviceField scope="all" choices={{ models, devices: names.map((name) => aGpu({ name })) }} />
    </SettingsContext>,
  );
  const select: HTMLSelectElement = await waitFor(() => screen.getByLabelText("Device"));
  return { select, texts: [...select.options].map(({ text }) => text) };
}

it("calls a family by its one GPU", async () => {
  const { texts } = await options(["cpu", "vulkan"], ["Vulkan0"]);
  expect(texts.slice(1)).toEqual(["Best available", "Processor", "VULKAN (Big GPU)"]);
});

it("offers each of several GPUs, and knows one in whatever letters it was chosen", async () => {
  const several = ["cpu", "vulkan", "vulkan0", "vulkan1"];
  const { texts, select } = await options(several, ["Vulkan0", "Vulkan1"], "Vulkan1");
  expect(texts.slice(3)).toEqual(["VULKAN", "Vulkan0 (Big GPU)", "Vulkan1 (Big GPU)"]);
  expect(select.value).toBe("vulkan1");
});
