import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";

import { unsetSettings } from "@/api/settings";
import type { Settings } from "@/api/types";
import { ToastContext, createToastStore } from "@/components/toasts";
import { SettingsFields } from "@/features/settings/settings-fields";
import en from "@/locales/en.json";
import { axeViolations } from "@/testing/axe";

const change = vi.fn<(part: Partial<Settings>) => void>();

function show(own: Partial<Settings> = {}) {
  const target = {
    own: { ...unsetSettings, ...own },
    inherited: { ...unsetSettings, min_p: 0.05, samplers: ["top_k", "temperature"] },
    limits: { max_response_tokens: 0 },
    change,
  };
  return render(
    <ToastContext value={createToastStore()}>
      <main>
        <h2>Settings</h2>
        <SettingsFields target={target} choices={{ models: [], devices: [] }} />
      </main>
    </ToastContext>,
  );
}

it("has a field for every setting of the API, each with an explanation", async () => {
  const user = userEvent.setup();
  show();
  expect(screen.queryByLabelText("Min-p")).toBeNull();
  await user.click(screen.getByText("More"));
  const texts: Record<string, unknown> = en.settings;
  for (const name of Object.keys(unsetSettings)) {
    const [field] = screen.getAllByLabelText(String(texts[name]), { exact: true });
    const note = field?.closest("fieldset, section")?.querySelector(`[id="${field.id}-note"]`);
    if (!["model"].includes(name) && field?.getAttribute("type") !== "range") {
      expect(note?.textContent, name).toMatch(/\S/);
    }
  }
  expect(await axeViolations()).toEqual([]);
});

it("is unfolded where one of the others is set, and gives each back", async () => {
  change.mockClear();
  const user = userEvent.setup();
  show({ dry_base: 2, seed: 7 });
  expect(screen.getByText("2 set")).toBeTruthy();
  expect(screen.getByLabelText<HTMLInputElement>("DRY base").value).toBe("2");
  await user.click(screen.getByRole("button", { name: "Use the default: DRY base" }));
  expect(change).toHaveBeenCalledWith({ dry_base: null });
  await user.click(screen.getByRole("button", { name: "Reset to defaults" }));
  expect(change).toHaveBeenLastCalledWith(unsetSettings);
});

it("takes lists a line each, with line breaks as \\n, and versions of mirostat", async () => {
  change.mockClear();
  const user = userEvent.setup();
  show({ dry_sequence_breakers: ["\n", "."] });
  const breakers = screen.getByLabelText<HTMLTextAreaElement>("DRY sequence breakers");
  expect(breakers.value).toBe("\\n\n.");
  await user.type(breakers, "{Enter}\\t");
  expect(change).toHaveBeenLastCalledWith({ dry_sequence_breakers: ["\n", ".", "\t"] });
  await user.selectOptions(screen.getByLabelText("Mirostat"), "Version 2");
  expect(change).toHaveBeenLastCalledWith({ mirostat: 2 });
  await user.selectOptions(screen.getByLabelText("Thinking"), "Off");
  expect(change).toHaveBeenLastCalledWith({ reasoning_effort: "none" });
  const order = screen.getByLabelText<HTMLTextAreaElement>("Order of the samplers");
  expect(order.placeholder).toBe("top_k\ntemperature");
});
