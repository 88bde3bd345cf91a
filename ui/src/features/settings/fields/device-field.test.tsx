import { render, screen } from "@testing-library/react";
import { expect, it } from "vitest";

import { unsetSettings } from "@/api/settings";
import { DeviceField } from "@/features/settings/fields/device-field";
import { SettingsTargetContext } from "@/features/settings/settings-target";
import { aGpu, readyModel } from "@/testing/fake-api";

function options(devices: string[], names: string[], chosen: string | null = null) {
  const models = [{ ...readyModel, devices }];
  const target = {
    own: { ...unsetSettings, device: chosen },
    inherited: { ...unsetSettings, device: "auto" },
    limits: { max_response_tokens: 0 },
    change: () => undefined,
  };
  render(
    <SettingsTargetContext value={target}>
      <DeviceField choices={{ models, devices: names.map((name) => aGpu({ name })) }} />
    </SettingsTargetContext>,
  );
  const select: HTMLSelectElement = screen.getByLabelText("Device");
  return { select, texts: [...select.options].map(({ text }) => text) };
}

it("calls a family by its one GPU", () => {
  const { texts } = options(["cpu", "vulkan"], ["Vulkan0"]);
  expect(texts.slice(1)).toEqual(["Best available", "Processor", "VULKAN (Big GPU)"]);
});

it("offers each of several GPUs, and knows one in whatever letters it was chosen", () => {
  const several = ["cpu", "vulkan", "vulkan0", "vulkan1"];
  const { texts, select } = options(several, ["Vulkan0", "Vulkan1"], "Vulkan1");
  expect(texts.slice(3)).toEqual(["VULKAN", "Vulkan0 (Big GPU)", "Vulkan1 (Big GPU)"]);
  expect(select.value).toBe("vulkan1");
});
