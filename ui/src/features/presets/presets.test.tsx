import { act, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { beforeEach, expect, it } from "vitest";

import { unsetSettings } from "@/api/settings";
import type { Settings } from "@/api/types";
import { createToastStore, ToastContext, Toasts } from "@/components/toasts";
import { PresetMenu } from "@/features/presets/preset-menu";
import { PresetsContext } from "@/features/presets/presets-context";
import { createPresetsStore } from "@/features/presets/presets-store";
import { axeViolations } from "@/testing/axe";
import { FakeApi } from "@/testing/fake-api";

let api: FakeApi;
let shown: Settings;

function Chat({ begin }: { begin: Settings }) {
  const [settings, setSettings] = useState(begin);
  return (
    <PresetMenu
      settings={settings}
      onApply={(changed) => {
        shown = changed;
        setSettings(changed);
      }}
    />
  );
}

async function show(settings: Partial<Settings> = {}) {
  const presets = createPresetsStore();
  await act(() => presets.getState().load());
  return render(
    <ToastContext value={createToastStore()}>
      <PresetsContext value={presets}>
        <main>
          <Chat begin={{ ...unsetSettings, ...settings }} />
        </main>
        <Toasts />
      </PresetsContext>
    </ToastContext>,
  );
}

function preset(name: string, settings: Partial<Settings>) {
  api.presets.push({ id: name, name, settings: { ...unsetSettings, ...settings }, created_at: 0 });
}

beforeEach(() => {
  api = new FakeApi().install();
});

it("is used with a click, may leave the model as it is, and can be undone", async () => {
  const user = userEvent.setup();
  preset("Poet", { temperature: 1.2, system_prompt: "Rhyme." });
  preset("Coder", { model: "code", temperature: 0 });
  await show({ model: "mine", seed: 3 });
  await user.click(screen.getByRole("button", { name: "Presets" }));
  expect(await axeViolations()).toEqual([]);
  await user.click(screen.getByRole("menuitemradio", { name: /Poet/ }));
  expect(shown).toEqual({
    ...unsetSettings,
    model: "mine",
    temperature: 1.2,
    system_prompt: "Rhyme.",
  });
  await user.click(screen.getByRole("button", { name: "Preset: Poet" }));
  await user.click(screen.getByRole("menuitemradio", { name: "Coder" }));
  expect(shown).toEqual({ ...unsetSettings, model: "code", temperature: 0 });
  const [first, last] = screen.getAllByRole("button", { name: "Undo" });
  await user.click(last ?? document.body);
  expect(shown).toMatchObject({ model: "mine", temperature: 1.2 });
  await user.click(first ?? document.body);
  expect(shown).toEqual({ ...unsetSettings, model: "mine", seed: 3 });
});

it("is made of a chat's settings, under a name that is still free", async () => {
  const user = userEvent.setup();
  preset("Poet", { temperature: 1.2 });
  await show({ seed: 3 });
  await user.click(screen.getByRole("button", { name: "Presets" }));
  await user.click(screen.getByRole("menuitem", { name: "Keep these settings as a preset" }));
  const name = await screen.findByLabelText("Name");
  await user.type(name, "Poet{Enter}");
  expect(await screen.findByText("There is a preset 'Poet' already.")).toBeTruthy();
  await user.clear(name);
  await user.type(name, "Steady{Enter}");
  expect(await screen.findByRole("button", { name: "Preset: Steady" })).toBeTruthy();
  expect(api.presets.map((one) => [one.name, one.settings.seed])).toEqual([
    ["Poet", null],
    ["Steady", 3],
  ]);
});

it("says how to make the first one", async () => {
  const user = userEvent.setup();
  await show();
  await user.click(screen.getByRole("button", { name: "Presets" }));
  const keep = screen.getByRole<HTMLButtonElement>("menuitem", { name: /Keep these settings/ });
  expect(keep.disabled).toBe(true);
  expect(keep.textContent).toContain("Change something in this chat’s settings first.");
});

it("is renamed, replaced and deleted, and comes back", async () => {
  const user = userEvent.setup();
  preset("Poet", { temperature: 1.2 });
  await show({ top_k: 5 });
  await user.click(screen.getByRole("button", { name: "Presets" }));
  await user.click(screen.getByRole("menuitem", { name: "Edit presets" }));
  const dialog = within(await screen.findByRole("dialog"));
  const name = dialog.getByRole("textbox", { name: "Name of the preset Poet" });
  await user.clear(name);
  await user.type(name, "Bard{Enter}");
  await dialog.findByRole("textbox", { name: "Name of the preset Bard" });
  await user.click(dialog.getByRole("button", { name: "Replace Bard with this chat’s settings" }));
  expect(api.presets[0]).toMatchObject({ name: "Bard", settings: { top_k: 5, temperature: null } });
  await user.click(dialog.getByRole("button", { name: "Delete the preset Bard" }));
  expect(await dialog.findByText("There are no presets yet.")).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Undo", hidden: true }));
  expect(await dialog.findByRole("textbox", { name: "Name of the preset Bard" })).toBeTruthy();
});
