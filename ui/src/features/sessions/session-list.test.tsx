import { fireEvent, render, screen, within } from "@testing-library/react";
import userEvent, { type UserEvent } from "@testing-library/user-event";
import { useState } from "react";
import { beforeEach, describe, expect, it, vi } from "vitest";

import type { Session } from "@/api/types";
import { createToastStore, ToastContext, Toasts } from "@/components/toasts";
import { ListMenu } from "@/features/sessions/list-menu";
import { SessionList } from "@/features/sessions/session-list";
import { SessionsContext } from "@/features/sessions/sessions-context";
import { createSessionsStore } from "@/features/sessions/sessions-store";
import { axeViolations } from "@/testing/axe";
import { FakeApi } from "@/testing/fake-api";

let api: FakeApi;
const onOpen = vi.fn();
const onDeleted = vi.fn();
const onBack = vi.fn();
const onNewIn = vi.fn();
const onExport = vi.fn<(session: Session, format: string) => void>();

function Shown({ activeId }: { activeId: string | null }) {
  const [selecting, setSelecting] = useState(false);
  return (
    <aside>
      <ListMenu
        onTemporary={() => undefined}
        onSelect={() => {
          setSelecting(true);
        }}
        onMade={() => undefined}
      />
      <SessionList
        activeId={activeId}
        hrefOf={(id) => `#/s/${id}`}
        onOpen={onOpen}
        onDeleted={onDeleted}
        onExport={onExport}
        onBack={onBack}
        onNewIn={onNewIn}
        selecting={selecting}
        onSelecting={setSelecting}
      />
    </aside>
  );
}

async function show(activeId: string | null = null) {
  const store = createSessionsStore({ onUnreachable: () => undefined });
  render(
    <ToastContext value={createToastStore()}>
      <SessionsContext value={store}>
        <Shown activeId={activeId} />
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

  it("tells chats of one title apart by their time", async () => {
    const at = new Date(2020, 4, 3, 14, 5).getTime();
    api.session("Same", at);
    api.session("Same");
    api.session("Other");
    await show();
    const shown = (await screen.findAllByRole("link")).map((link) => link.textContent);
    expect(shown).toHaveLength(3);
    expect(shown).toContain("Other");
    expect(shown.filter((one) => /^Same.*\d:\d\d/.test(one))).toHaveLength(2);
    expect(new Set(shown).size).toBe(3);
    expect(shown.at(-1)).toContain("2020");
  });

  it("hands over what is to be exported", async () => {
    const user = userEvent.setup();
    const session = api.session("Dear");
    await show();
    await choose(user, "Dear", "Export as Markdown");
    await choose(user, "Dear", "Print or save as PDF");
    expect(onExport.mock.calls.map(([{ id }, format]) => [id, format])).toEqual([
      [session.id, "markdown"],
      [session.id, "pdf"],
    ]);
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
    expect(document.activeElement?.textContent).toBe("Move to…");
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

describe("folders", () => {
  it("are made, hold chats that are moved there, and are opened by a click", async () => {
    const user = userEvent.setup();
    const session = api.session("Train to Rome");
    await show();
    await user.click(screen.getByRole("button", { name: "More" }));
    await user.click(screen.getByRole("menuitem", { name: "New folder" }));
    await user.type(await screen.findByRole("textbox", { name: "Name" }), "Travel");
    await user.type(screen.getByRole("textbox", { name: "System prompt" }), "You know trains.");
    await user.click(screen.getByRole("button", { name: "Create" }));
    const folder = await screen.findByRole("region", { name: "Travel" });
    expect(api.folders[0]?.settings?.system_prompt).toBe("You know trains.");

    await choose(user, "Train to Rome", "Move to…");
    const dialog = await screen.findByRole("dialog", { name: "Move this chat to" });
    await user.click(within(dialog).getByRole("button", { name: "Travel" }));
    await vi.waitFor(() => {
      expect(api.callsOf(`PATCH /api/sessions/${session.id}`)).toEqual([
        expect.objectContaining({ body: { folder_id: api.folders[0]?.id } }),
      ]);
    });
    expect(screen.queryByRole("link", { name: "Train to Rome" })).toBeNull();
    await user.click(within(folder).getByRole("button", { name: /^Travel/ }));
    expect(within(folder).getByRole("link", { name: "Train to Rome" })).toBeTruthy();
    expect(await axeViolations()).toEqual([]);

    await user.click(screen.getByRole("button", { name: "Actions for folder Travel" }));
    await user.click(screen.getByRole("menuitem", { name: "New chat here" }));
    expect(onNewIn).toHaveBeenCalledWith(api.folders[0]?.id);
  });

  it("are deleted without their chats, or with them", async () => {
    const user = userEvent.setup();
    api.folders.push({ id: "f", name: "Travel", settings: null });
    api.session("Train to Rome").folder_id = "f";
    await show();
    await user.click(await screen.findByRole("button", { name: "Actions for folder Travel" }));
    await user.click(screen.getByRole("menuitem", { name: "Delete folder" }));
    const dialog = await screen.findByRole("dialog", { name: "Delete this folder?" });
    expect(dialog.textContent).toContain("has one chat");
    expect(within(dialog).getByRole("button", { name: "Delete the chat" })).toBeTruthy();
    await user.click(within(dialog).getByRole("button", { name: "Keep its chats" }));
    expect(await screen.findByRole("link", { name: "Train to Rome" })).toBeTruthy();
    expect(screen.queryByRole("region", { name: "Travel" })).toBeNull();
    expect(api.calls.some(({ method, path }) => method === "DELETE" && path === "/api/folders/f")).toBe(true);
  });

  it("take over the settings of a chat", async () => {
    const user = userEvent.setup();
    api.folders.push({ id: "f", name: "Travel", settings: null });
    const session = api.session("Train to Rome");
    session.folder_id = "f";
    session.settings = { ...api.profile, temperature: 0.3 };
    await show();
    await user.click(await screen.findByRole("button", { name: /^Travel/ }));
    await choose(user, "Train to Rome", "Use its settings for the folder");
    expect(await screen.findByText(/New chats in “Travel”/)).toBeTruthy();
    expect(api.folders[0]?.settings?.temperature).toBe(0.3);
  });

  it("take chats that are dropped on them", async () => {
    api.folders.push({ id: "f", name: "Travel", settings: null });
    const session = api.session("Train to Rome");
    await show();
    const data = new Map<string, string>();
    const dataTransfer = {
      types: ["application/x-chats"],
      setData: (kind: string, text: string) => data.set(kind, text),
      getData: (kind: string) => data.get(kind) ?? "",
      effectAllowed: "",
    };
    fireEvent.dragStart(await screen.findByRole("link", { name: "Train to Rome" }), { dataTransfer });
    const folder = screen.getByRole("region", { name: "Travel" });
    expect(fireEvent.dragOver(folder, { dataTransfer })).toBe(false);
    fireEvent.drop(folder, { dataTransfer });
    await vi.waitFor(() => {
      expect(session.folder_id).toBe("f");
    });
  });
});

describe("many chats at once", () => {
  it("are selected with Ctrl and Shift, and deleted together", async () => {
    const user = userEvent.setup();
    for (const title of ["Five", "Four", "Three", "Two", "One"]) api.session(title);
    await show();
    await user.keyboard("{Control>}");
    await user.click(await screen.findByRole("link", { name: "Two" }));
    await user.keyboard("{/Control}");
    expect(onOpen).not.toHaveBeenCalled();
    await user.keyboard("{Shift>}");
    await user.click(screen.getByRole("checkbox", { name: "Four" }));
    await user.keyboard("{/Shift}");
    const bar = screen.getByRole("toolbar", { name: "Selected chats" });
    expect(bar.textContent).toContain("3 chats");
    expect(await axeViolations()).toEqual([]);
    await user.click(within(bar).getByRole("button", { name: "Delete" }));
    const dialog = screen.getByRole("dialog", { name: "Delete these chats?" });
    await user.click(within(dialog).getByRole("button", { name: "Delete" }));
    await vi.waitFor(() => {
      expect(api.sessions.map(({ title }) => title)).toEqual(["One", "Five"]);
    });
    expect(screen.queryByRole("toolbar")).toBeNull();
    await user.click(await screen.findByRole("button", { name: "Undo" }));
    expect(await screen.findByRole("link", { name: "Three" })).toBeTruthy();
    expect(api.sessions).toHaveLength(5);
  });

  it("end with Esc", async () => {
    const user = userEvent.setup();
    api.session("One");
    await show();
    await user.click(screen.getByRole("button", { name: "More" }));
    await user.click(screen.getByRole("menuitem", { name: "Select chats" }));
    (await screen.findByRole("checkbox", { name: "One" })).focus();
    await user.keyboard("{Escape}");
    expect(screen.getByRole("link", { name: "One" })).toBeTruthy();
  });
});

describe("a list of 10,000 chats", () => {
  it("has those in sight alone as elements, and all in reach of the arrow keys", async () => {
    const user = userEvent.setup();
    const day = 86_400_000;
    for (let at = 0; at < 10_000; at += 1) api.session(`Chat ${at}`, Date.now() - (10_000 - at) * day);
    await show();
    const first = await screen.findByRole("link", { name: "Chat 9999" });
    expect(document.querySelectorAll("[data-chat]").length).toBeLessThan(100);
    expect(document.querySelectorAll('[data-chat][tabindex="0"]')).toHaveLength(1);
    first.focus();
    await user.keyboard("{ArrowDown}{ArrowDown}");
    expect(document.activeElement?.textContent).toBe("Chat 9997");
    await user.keyboard("{Home}");
    expect(document.activeElement).toBe(first);
  });
});

describe("recently deleted", () => {
  it("says how long chats are kept, restores one and removes another for good", async () => {
    const user = userEvent.setup();
    api.session("First");
    api.session("Second");
    await show();
    for (const title of ["First", "Second"]) {
      await choose(user, title, "Delete");
      await user.click(within(screen.getByRole("dialog")).getByRole("button", { name: "Delete" }));
      await vi.waitFor(() => {
        expect(screen.queryByRole("dialog")).toBeNull();
      });
    }
    await user.click(screen.getByRole("button", { name: "More" }));
    await user.click(screen.getByRole("menuitem", { name: "Recently deleted" }));
    const place = await screen.findByRole("dialog", { name: "Recently deleted" });
    expect(await within(place).findByText(/for at least 30 days/)).toBeTruthy();
    const [, second] = await within(place).findAllByRole("listitem");
    await user.click(within(second ?? place).getByRole("button", { name: "Restore" }));
    expect(await screen.findByRole("link", { name: "Second", hidden: true })).toBeTruthy();
    await user.click(await within(place).findByRole("button", { name: "Delete all for good" }));
    expect(api.callsOf("DELETE /api/deleted")).toHaveLength(0);
    await user.click(within(place).getByRole("button", { name: "Really delete all?" }));
    expect(await within(place).findByText("Nothing was deleted recently.")).toBeTruthy();
    expect(await axeViolations()).toEqual([]);
  });
});
