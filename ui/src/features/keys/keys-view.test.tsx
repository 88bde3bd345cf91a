import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it } from "vitest";

import type { ApiKey } from "@/api/types";
import { createToastStore, ToastContext, Toasts } from "@/components/toasts";
import { KeysView } from "@/features/keys/keys-view";
import { fakeRoutes, refusal, type RecordedRequest } from "@/testing/fake-routes";

let keys: ApiKey[];
let calls: RecordedRequest[];

function key(name: string, part: Partial<ApiKey> = {}): ApiKey {
  return {
    id: name.toLowerCase(),
    name,
    prefix: "ak_1234",
    scope: "chat",
    rpm: null,
    enabled: true,
    source: "vault",
    created_at: 0,
    expires_at: null,
    last_used_at: null,
    ...part,
  };
}

beforeEach(() => {
  keys = [key("Laptop", { rpm: 60 }), key("Admin", { scope: "admin", source: "config" })];
  calls = fakeRoutes({
    "GET /api/keys": () => ({ keys }),
    "POST /api/keys": ({ body }) => {
      const { name } = body as { name: string };
      if (name === "Laptop") return refusal(409, "conflict", "There is a key of that name.");
      const made = key(name);
      keys = [...keys, made];
      return { ...made, key: "ak_1234secret" };
    },
    "DELETE /api/keys/laptop": () => {
      keys = keys.filter(({ id }) => id !== "laptop");
      return new Response(null, { status: 204 });
    },
  });
});

async function show() {
  const view = render(
    <ToastContext value={createToastStore()}>
      <KeysView />
      <Toasts />
    </ToastContext>,
  );
  await screen.findByText("Laptop");
  return view;
}

describe("keys", () => {
  it("are listed with what they may, and those of the configuration stay", async () => {
    await show();
    const [laptop, admin] = screen.getAllByRole("listitem");
    expect(laptop?.textContent).toMatch(/Chat.*never used · 60 per minute/);
    expect(admin?.textContent).toContain("From the configuration");
    expect(screen.getAllByRole("button", { name: /^Revoke/ })).toHaveLength(1);
  });

  it("are made with a name, and shown once", async () => {
    const user = userEvent.setup();
    await show();
    await user.click(screen.getByRole("button", { name: "Create a key" }));
    const dialog = within(screen.getByRole("dialog", { name: "Create a key" }));
    await user.type(dialog.getByRole("textbox", { name: "Name" }), "Phone");
    await user.selectOptions(dialog.getByRole("combobox", { name: "Permissions" }), "manage");
    await user.click(dialog.getByRole("button", { name: "Create a key" }));
    const made = within(await screen.findByRole("dialog", { name: "Your new key" }));
    expect(made.getByText("ak_1234secret")).toBeTruthy();
    expect(calls.find(({ method }) => method === "POST")?.body).toEqual({
      name: "Phone",
      scope: "manage",
      rpm: null,
      expires_at: null,
    });
    await user.click(made.getByRole("button", { name: "Done" }));
    expect(await screen.findByText("Phone")).toBeTruthy();
    expect(screen.queryByText("ak_1234secret")).toBeNull();
  });

  it("say why one could not be made", async () => {
    const user = userEvent.setup();
    await show();
    await user.click(screen.getByRole("button", { name: "Create a key" }));
    const dialog = within(screen.getByRole("dialog", { name: "Create a key" }));
    await user.type(dialog.getByRole("textbox", { name: "Name" }), "Laptop");
    await user.click(dialog.getByRole("button", { name: "Create a key" }));
    expect((await dialog.findByRole("alert")).textContent).toContain("There is a key of that name.");
  });

  it("are revoked after a question", async () => {
    const user = userEvent.setup();
    await show();
    await user.click(screen.getByRole("button", { name: "Revoke key Laptop" }));
    const dialog = within(screen.getByRole("dialog", { name: "Revoke this key?" }));
    await user.click(dialog.getByRole("button", { name: "Revoke" }));
    await waitFor(() => {
      expect(screen.queryByRole("button", { name: "Revoke key Laptop" })).toBeNull();
    });
    expect(calls.filter(({ method }) => method === "DELETE")).toHaveLength(1);
  });
});
