import { render, screen, within } from "@testing-library/react";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { createToastStore, ToastContext, Toasts } from "@/components/toasts";
import { SessionList } from "@/features/sessions/session-list";
import { SessionsContext } from "@/features/sessions/sessions-context";
import { createSessionsStore } from "@/features/sessions/sessions-store";
import { axeViolations } from "@/testing/axe";
import { FakeApi } from "@/testing/fake-api";

let api: FakeApi;
const onOpen = vi.fn();
const onDeleted = vi.fn();
const onBack = vi.fn();

async function show(activeId: string | null = null) {
  const store = createSessionsStore({ onUnreachable: () => undefined });
  render(
    <ToastContext value={createToastStore()}>
      <SessionsContext value={store}>
        <SessionList
          activeId={activeId}
          hrefOf={(id) => `#/s/${id}`}
          onOpen={onOpen}
          onDeleted={onDeleted}
          onBack={onBack}
        />
        <Toasts />
      </SessionsContext>
    </ToastContext>,
  );
  await store.getState().load();
}

/** Runs an action of a chat's menu. */
async function choose(user: UserEvent, title: string, action: string) {
  await user.click(await screen.findByRole("button", { name: `Actions for chat ${title}` }));
  await user.click(screen.getByRole("menuitem", { name: action }));
}

beforeEach(() => {
  vi.clearAllMocks();
  api = new FakeApi().install();
});

describe("the list of chats", () => {
  it("shows chats by day, and which one is open", async () => {
    api.session("Older", Date.now() - 40 * 86_400_000);
    const today = api.session("Newest");
    await show(today.id);
    const group = await screen.findByRole("region", { name: "Today" });
    const link = within(group).getByRole("link", { name: "Newest" });
    expect(link.getAttribute("aria-current")).toBe("page");
    expect(link.getAttribute("href")).toBe(`#/s/${today.id}`);
    expect(screen.getByRole("link", { name: "Older" }).getAttribute("aria-current")).toBeNull();
    expect(await axeViolations()).toEqual([]);
  });

  it("says what will be here when there is nothing yet", async () => {
    await show();
    expect(await screen.findByText("Your chats will be listed here.")).toBeTruthy();
  });

  it("marks a chat whose reply is being written", async () => {
    api.liveReply(api.session("Busy"), "Hi", "");
    await show();
    expect(await screen.findByRole("img", { name: "A reply is being written" })).toBeTruthy();
  });

  it("tells a list that can't be read from an empty one, and reads it again", async () => {
    const user = userEvent.setup();
    api.refuse("GET /api/sessions", 500, "store_error", "The disk says no.");
    await show();
    api.session("Found");
    await user.click(await screen.findByRole("button", { name: "Try again" }));
    expect(await screen.findByRole("link", { name: "Found" })).toBeTruthy();
  });
});

describe("renaming", () => {
  async function rename(typed: string) {
    const user = userEvent.setup();
    const session = api.session("Old title");
    await show();
    await choose(user, "Old title", "Rename");
    const field = screen.getByRole("textbox", { name: "Title of the chat" });
    expect(document.activeElement).toBe(field);
    await user.keyboard(typed);
    return session;
  }

  it("stores the new title with Enter, once", async () => {
    const session = await rename("New title{Enter}");
    expect(await screen.findByRole("link", { name: "New title" })).toBeTruthy();
    expect(api.callsOf(`PATCH /api/sessions/${session.id}`)).toEqual([
      expect.objectContaining({ body: { title: "New title" } }),
    ]);
  });

  it("keeps the old title with Esc, and when nothing is left of it", async () => {
    const session = await rename("New title{Escape}");
    expect(screen.getByRole("link", { name: "Old title" })).toBeTruthy();
    await choose(userEvent.setup(), "Old title", "Rename");
    await userEvent.keyboard("{Backspace}{Enter}");
    expect(screen.getByRole("link", { name: "Old title" })).toBeTruthy();
    expect(api.callsOf(`PATCH /api/sessions/${session.id}`)).toHaveLength(0);
  });

  it("takes the old title back when the new one can't be stored", async () => {
    api.refuse("PATCH /api/sessions/s1", 500, "store_error", "The disk says no.");
    await rename("New title{Enter}");
    expect(await screen.findByText(/The disk says no\./)).toBeTruthy();
    expect(screen.getByRole("link", { name: "Old title" })).toBeTruthy();
  });
});

describe("deleting", () => {
  async function ask(activeId: string | null = null) {
    const user = userEvent.setup();
    const session = api.session("Doomed");
    await show(activeId);
    await choose(user, "Doomed", "Delete");
    return { user, session, dialog: screen.getByRole("dialog", { name: "Delete this chat?" }) };
  }

  it("asks first, and deletes then", async () => {
    const { user, session, dialog } = await ask();
    expect(dialog.textContent).toContain("Doomed");
    expect(api.sessions).toHaveLength(1);
    await user.click(within(dialog).getByRole("button", { name: "Delete" }));
    expect(await screen.findByText("Your chats will be listed here.")).toBeTruthy();
    expect(api.sessions).toHaveLength(0);
    expect(onDeleted).toHaveBeenCalledWith(session.id);
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  it("can be taken back, and leads back to the chat that was open", async () => {
    const { user, session, dialog } = await ask("s1");
    await user.click(within(dialog).getByRole("button", { name: "Delete" }));
    await user.click(await screen.findByRole("button", { name: "Undo" }));
    expect(await screen.findByRole("link", { name: "Doomed" })).toBeTruthy();
    expect(onBack).toHaveBeenCalledWith(session.id);
  });

  it("keeps the chat when it is not wanted", async () => {
    const { user, dialog } = await ask();
    await user.click(within(dialog).getByRole("button", { name: "Keep" }));
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(api.sessions).toHaveLength(1);
  });

  it("says when it could not be done, and lets try again", async () => {
    api.refuse("DELETE /api/sessions/s1", 500, "store_error", "The disk says no.");
    const { user, dialog } = await ask();
    await user.click(within(dialog).getByRole("button", { name: "Delete" }));
    expect((await within(dialog).findByRole("alert")).textContent).toContain("The disk says no.");
    await user.click(within(dialog).getByRole("button", { name: "Delete" }));
    expect(await screen.findByText("Your chats will be listed here.")).toBeTruthy();
  });
});

describe("the menu of a chat", () => {
  it("pins and unpins", async () => {
    const user = userEvent.setup();
    api.session("Other");
    api.session("Dear");
    await show();
    await choose(user, "Other", "Pin");
    const group = await screen.findByRole("region", { name: "Pinned" });
    expect(within(group).getByRole("link", { name: "Other" })).toBeTruthy();
    await choose(user, "Other", "Unpin");
    await vi.waitFor(() => {
      expect(screen.queryByRole("region", { name: "Pinned" })).toBeNull();
    });
  });

  it("is moved through by arrows, and closed by Esc with the focus where it was", async () => {
    const user = userEvent.setup();
    api.session("A chat");
    await show();
    const button = await screen.findByRole("button", { name: "Actions for chat A chat" });
    button.focus();
    await user.keyboard("{Enter}");
    expect(document.activeElement?.textContent).toBe("Rename");
    await user.keyboard("{ArrowDown}{ArrowDown}");
    expect(document.activeElement?.textContent).toBe("Export");
    await user.keyboard("{End}");
    expect(document.activeElement?.textContent).toBe("Delete");
    await user.keyboard("{ArrowDown}");
    expect(document.activeElement?.textContent).toBe("Rename");
    expect(await axeViolations()).toEqual([]);
    await user.keyboard("{Escape}");
    expect(screen.queryByRole("menu")).toBeNull();
    expect(document.activeElement).toBe(button);
  });
});
