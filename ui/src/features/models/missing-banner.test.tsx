import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { expect, it, vi } from "vitest";

import type { ModelStatus } from "@/api/types";
import { createToastStore, ToastContext } from "@/components/toasts";
import { MissingBanner } from "@/features/models/missing-banner";
import { FakeApi, readyModel } from "@/testing/fake-api";

const missing: ModelStatus = {
  ...readyModel,
  id: "qwen",
  name: "Qwen/Qwen2.5-0.5B-Instruct",
  state: "failed",
  missing: true,
};

function show(models: ModelStatus[], manages = true) {
  const onDownload = vi.fn();
  render(
    <ToastContext value={createToastStore()}>
      <MissingBanner models={models} manages={manages} onDownload={onDownload} />
    </ToastContext>,
  );
  return onDownload;
}

it("offers the configured model while another one answers", async () => {
  const api = new FakeApi().install();
  api.next("POST /api/downloads", new Response("{}", { status: 201 }));
  const onDownload = show([missing, readyModel]);
  expect(screen.getByRole("status").textContent).toContain(readyModel.name);
  await userEvent.click(screen.getByRole("button", { name: `Download ${missing.name}` }));
  await vi.waitFor(() => {
    expect(onDownload).toHaveBeenCalled();
  });
  expect(api.calls).toContainEqual(
    expect.objectContaining({ path: "/api/downloads", body: { model: "qwen", quantization: "" } }),
  );
  expect(screen.queryByRole("button", { name: /Download/ })).toBeNull();
});

it.each([
  ["nothing is missing", [readyModel], true],
  ["another model is missing", [readyModel, missing], true],
  ["nothing answers", [missing], true],
  ["the caller may not download", [missing, readyModel], false],
] as const)("says nothing if %s", (_, models, manages) => {
  show([...models], manages);
  expect(screen.queryByRole("button", { name: /Download/ })).toBeNull();
});
