import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";

import type { ModelStatus } from "@/api/types";
import { ModelPicker } from "@/features/models/model-picker";
import { axeViolations } from "@/testing/axe";
import { readyModel } from "@/testing/fake-api";
import { fakeRoutes } from "@/testing/fake-routes";

const onChoose = vi.fn();
const onAll = vi.fn();

function show(models: ModelStatus[], ownId: string | null = null, secondsLeft: number | null = null) {
  return render(
    <main>
      <ModelPicker
        models={models}
        ownId={ownId}
        defaultId="tiny"
        secondsLeft={secondsLeft}
        opened={0}
        onChoose={onChoose}
        onAll={onAll}
      />
    </main>,
  );
}

const big: ModelStatus = { ...readyModel, id: "big", name: "Big", state: "unloaded" };
const huge: ModelStatus = { ...readyModel, id: "huge", name: "Huge", state: "unloaded" };
const vectors: ModelStatus = { ...readyModel, id: "vectors", name: "Vectors", state: "unloaded" };

it("names the model, and offers the others with what they can do", async () => {
  const local = { n_ctx: null, context_length: 0, memory_bytes: 0, fits: "fits", embeds: false };
  fakeRoutes({
    "GET /api/models": () => ({
      models: [
        { ...local, id: "big", thinks: true, tools: true, context_length: 8192 },
        { ...local, id: "huge", fits: "too_big" },
        { ...local, id: "vectors", embeds: true },
      ],
    }),
  });
  const user = userEvent.setup();
  show([readyModel, big, huge, vectors]);
  await user.click(screen.getByRole("button", { name: "Model: Tiny Instruct" }));
  const choice = (name: RegExp) => screen.findByRole<HTMLButtonElement>("menuitemradio", { name });
  expect((await choice(/Tiny Instruct \(default\)/)).getAttribute("aria-checked")).toBe("true");
  expect(await screen.findByText(/Reasons · Calls functions · 8,192 tokens of context/)).toBeTruthy();
  expect((await choice(/Huge/)).disabled).toBe(true);
  expect(screen.queryByText("Vectors")).toBeNull();
  expect(await axeViolations()).toEqual([]);
  await user.click(await choice(/Big/));
  expect(onChoose).toHaveBeenLastCalledWith("big");
  await user.click(screen.getByRole("button", { name: "Model: Tiny Instruct" }));
  await user.click(screen.getByRole("menuitem", { name: "All models" }));
  expect(onAll).toHaveBeenCalled();
});

it("goes back to the default as the default", async () => {
  fakeRoutes({});
  const user = userEvent.setup();
  show([readyModel, { ...big, state: "ready" }], "big");
  await user.click(screen.getByRole("button", { name: "Model: Big" }));
  await user.click(screen.getByRole("menuitemradio", { name: /Tiny/ }));
  expect(onChoose).toHaveBeenLastCalledWith(null);
});

it.each([
  [{ state: "loading", progress: 0.4 }, 12, "Model: Big, Loading · 40 % · about 12 s left"],
  [{ state: "loading", progress: 0.4 }, null, "Model: Big, Loading · 40 %"],
  [{ state: "failing" }, null, "Model: Big, Not responding"],
  [{ state: "failed" }, null, "Model: Big, Could not be loaded"],
  [{ state: "unloaded" }, null, "Model: Big, Loads when it is needed"],
  [{ state: "unloaded", missing: true }, null, "Model: Big, Not on this machine"],
] as const)("says what its state is: %o", (state, left, name) => {
  show([readyModel, { ...big, ...state }], "big", left);
  expect(screen.getByRole("button", { name })).toBeTruthy();
  expect(screen.queryAllByRole("progressbar")).toHaveLength(state.state === "loading" ? 1 : 0);
});

it("says that a chat's model is not there any more", () => {
  show([readyModel], "gone");
  expect(screen.getByRole("button", { name: "Model: gone, No longer on this machine" })).toBeTruthy();
});
