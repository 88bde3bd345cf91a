import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";

import type { ServerStatus } from "@/api/types";
import { StatusContext } from "@/features/status/status-context";
import { createStatusStore } from "@/features/status/status-store";
import { StorageBanner } from "@/features/status/storage-banner";
import { FakeApi } from "@/testing/fake-api";

let api: FakeApi;
const restored = vi.fn();

type Storage = NonNullable<ServerStatus["storage"]>;

const fine: Storage = { state: "ok", detail: "", notices: [], expired: [] };

async function show(storage: Storage) {
  const status = createStatusStore({ onBack: () => undefined });
  api.server = { ...api.server, storage };
  const stop = status.getState().watch();
  const view = render(
    <StatusContext value={status}>
      <StorageBanner onRestored={restored} />
    </StatusContext>,
  );
  await vi.waitFor(() => {
    expect(status.getState().server).not.toBeNull();
  });
  return () => {
    stop();
    view.unmount();
  };
}

beforeEach(() => {
  localStorage.clear();
  restored.mockClear();
  api = new FakeApi();
  api.install();
});

it("says nothing while all is well", async () => {
  const end = await show({ ...fine });
  expect(screen.queryByRole("status")).toBeNull();
  end();
});

it("asks before chats expire", async () => {
  const end = await show({ ...fine, expiry: { ttl_seconds: 7200, confirmed: false } });
  expect((await screen.findByRole("status")).textContent).toContain("2 h 0 min");
  await userEvent.click(screen.getByRole("button", { name: "Agree" }));
  await vi.waitFor(() => {
    expect(api.calls).toContainEqual(
      expect.objectContaining({ path: "/api/expiry", body: { ttl_seconds: 7200 } }),
    );
  });
  end();
});

it("asks no more once somebody agreed", async () => {
  const end = await show({ ...fine, expiry: { ttl_seconds: 7200, confirmed: true } });
  expect(screen.queryByRole("status")).toBeNull();
  end();
});

it.each([
  ["full", "The disk is full"],
  ["low", "nearly full"],
  ["read_only", "nothing is saved"],
  ["failed", "reports an error"],
] as const)("says that chats can't be saved: %s", async (state, text) => {
  const end = await show({ ...fine, state, detail: "as the server has it" });
  expect((await screen.findByRole("status")).textContent).toContain(text);
  end();
});

it("shows what was lost until it is dismissed", async () => {
  const lost = { code: "changes_lost", at: 5, message: "3 changes are lost." } as const;
  let end = await show({ ...fine, notices: [lost] });
  expect((await screen.findByRole("status")).textContent).toContain("3 changes are lost.");
  await userEvent.click(screen.getByRole("button", { name: "Dismiss" }));
  expect(screen.queryByRole("status")).toBeNull();
  end();
  end = await show({ ...fine, notices: [lost] });
  expect(screen.queryByRole("status")).toBeNull();
  end();
  end = await show({ ...fine, notices: [{ ...lost, at: 6 }, lost] });
  expect(await screen.findByRole("status")).toBeTruthy();
  end();
});

it("keeps chats that expired", async () => {
  const end = await show({ ...fine, expired: ["one", "two"] });
  expect((await screen.findByRole("status")).textContent).toContain("2 chats have expired");
  await userEvent.click(screen.getByRole("button", { name: "Keep" }));
  await vi.waitFor(() => {
    expect(restored).toHaveBeenCalledOnce();
  });
  expect(api.calls.filter(({ path }) => path.endsWith("/restore"))).toHaveLength(2);
  end();
});
