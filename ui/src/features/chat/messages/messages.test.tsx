import { render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { overHttp } from "@/api/reply-transport";
import type { Message, Session } from "@/api/types";
import { createToastStore, ToastContext, Toasts } from "@/components/toasts";
import { ChatView } from "@/features/chat/chat-view";
import { ChatContext } from "@/features/chat/state/chat-context";
import { createChatStore, type ChatStore } from "@/features/chat/state/chat-store";
import { ChatModelsContext } from "@/features/chat/state/models-context";
import { axeViolations } from "@/testing/axe";
import { FakeApi, usage } from "@/testing/fake-api";

let api: FakeApi;
let chat: ChatStore;
let session: Session;
let question: Message;
let reply: Message;
const onBranch = vi.fn();

const models = [
  { id: "tiny", name: "Tiny Instruct" },
  { id: "big", name: "Big Instruct" },
];

function show() {
  return render(
    <ToastContext value={createToastStore()}>
      <ChatModelsContext value={models}>
        <ChatContext value={chat}>
          <ChatView hold={null} about={null} able model={null} presets={null} onNewChat={() => undefined} />
          <Toasts />
        </ChatContext>
      </ChatModelsContext>
    </ToastContext>,
  );
}

beforeEach(async () => {
  onBranch.mockClear();
  api = new FakeApi().install();
  session = api.session("A chat");
  question = api.message(session, "user", "A question");
  reply = api.message(session, "assistant", "Some words.", { usage });
  chat = createChatStore({
    transport: overHttp,
    onSessionCreated: () => undefined,
    onBranch,
    newChatSettings: () => null,
    onReplyFailed: () => undefined,
    onSessionChanged: () => undefined,
    onUnreachable: () => undefined,
    onLockedOut: () => undefined,
  });
  chat.getState().open(session.id);
  show();
  await screen.findByRole("article", { name: "Reply" });
});

afterEach(() => {
  vi.restoreAllMocks();
});

const path = (of: Message, rest = "") => `/api/sessions/${session.id}/messages/${of.id}${rest}`;
const called = (wanted: string) => api.calls.filter((call) => call.path === wanted);

const answer = (method: string, to: string, body: unknown) => {
  api.next(`${method} ${to}`, Response.json(body));
};

async function choose(of: "reply" | "message", action: string) {
  const user = userEvent.setup();
  await user.click(screen.getByRole("button", { name: `More actions for this ${of}` }));
  await user.click(screen.getByRole("menuitem", { name: action }));
  return user;
}

describe("a reply", () => {
  it("names its model by the name for people", () => {
    expect(screen.getByTitle("Details of this reply").textContent).toContain("Tiny Instruct");
  });

  it("is edited with room for lines, and stored as a version", async () => {
    const edited = { ...reply, id: "edited", content: "Other\nwords.", edited: true, usage: null };
    answer("POST", path(reply, "/edit"), edited);
    const user = await choose("reply", "Edit reply");
    const editor = screen.getByRole("textbox", { name: "Edited reply" });
    await user.clear(editor);
    await user.type(editor, "Other{Enter}words.");
    await user.click(screen.getByRole("button", { name: "Save" }));
    await screen.findByRole("group", { name: "Version 2 of 2" });
    expect(called(path(reply, "/edit"))[0]?.body).toEqual({ content: "Other\nwords." });
    expect(screen.getByTitle("Details of this reply").textContent).toContain("edited");
    expect(await axeViolations()).toEqual([]);
  });

  it("keeps the edited text when it can't be stored, and says why", async () => {
    const user = await choose("reply", "Edit reply");
    const editor = screen.getByRole("textbox", { name: "Edited reply" });
    await user.type(editor, " More.");
    api.refuse(`POST ${path(reply, "/edit")}`, 507, "store_full", "The disk is full.");
    await user.click(screen.getByRole("button", { name: "Save" }));
    expect((await screen.findByRole("alert")).textContent).toContain("The disk is full.");
    expect(editor).toHaveProperty("value", "Some words. More.");
  });

  it("is written again by another model that can chat", async () => {
    answer("GET", "/api/models", {
      models: [
        { id: "tiny", name: "Tiny Instruct", embeds: false, downloaded: true, status: "ready", size: 1 },
        { id: "big", name: "Big Instruct", embeds: false, downloaded: true, status: "unloaded", size: 2e9 },
        { id: "vectors", name: "Vectors", embeds: true, downloaded: true, status: "ready", size: 3 },
        { id: "gone", name: "Gone", embeds: false, downloaded: false, status: "unloaded", size: 3 },
      ],
    });
    const user = await choose("reply", "Again with another model…");
    const dialog = await screen.findByRole("dialog", { name: "Again with another model" });
    const big = await within(dialog).findByRole("button", { name: /Big Instruct/ });
    expect(within(dialog).queryByText("Vectors")).toBeNull();
    expect(within(dialog).queryByText("Gone")).toBeNull();
    expect(await axeViolations()).toEqual([]);
    await user.click(big);
    await waitFor(() => {
      expect(called(path(reply, "/regenerate"))[0]?.body).toEqual({ model: "big" });
    });
  });

  it("says that the prompt can't be shown without its model", async () => {
    api.refuse(`GET ${path(reply, "/prompt")}`, 404, "model_not_found", "There is no model.");
    const user = userEvent.setup();
    await user.click(screen.getByTitle("Details of this reply"));
    await user.click(screen.getByRole("button", { name: "What was sent" }));
    expect((await screen.findByRole("alert")).textContent).toContain("no longer on this machine");
  });

  it("shows the prompt by message, control tokens apart, and what was left out", async () => {
    answer("GET", path(reply, "/prompt"), {
      model: "tiny",
      prompt_tokens: 4,
      as_sent: false,
      cached_tokens: 2,
      parts: [
        { message_id: null, role: "template", pieces: [{ id: 1, text: "<s>", control: true }] },
        {
          message_id: question.id,
          role: "user",
          pieces: [
            { id: 5, text: "A qu" },
            { id: 6, text: "estion" },
          ],
        },
        { message_id: null, role: "template", pieces: [{ id: 2, text: "</s>", control: true }] },
      ],
      left_out: [{ message_id: "old", role: "user", reason: "too_long" }],
    });
    const user = userEvent.setup();
    await user.click(screen.getByTitle("Details of this reply"));
    await user.click(screen.getByRole("button", { name: "What was sent" }));
    const dialog = await screen.findByRole("dialog", { name: "What was sent" });
    expect(await within(dialog).findByText("Your message · 2 tokens")).toBeTruthy();
    expect(dialog.textContent).toContain("Tiny Instruct · 4 tokens · 2 cached");
    expect(dialog.textContent).toContain("had 1,100 tokens");
    expect(dialog.textContent).toContain("1 message was left out");
    expect(within(dialog).getByText("A question")).toBeTruthy();
    await user.click(within(dialog).getByRole("checkbox", { name: "Show tokens" }));
    expect(within(dialog).getByText("estion").title).toBe("6");
    expect(await axeViolations()).toEqual([]);
  });
});

describe("deleting", () => {
  it("offers to undo what is gone, and counts it", async () => {
    answer("DELETE", path(question, "?turn=true"), { message_ids: [question.id, reply.id] });
    answer("POST", path(question, "/restore"), session);
    const user = await choose("message", "Delete with its reply");
    expect(await screen.findByText("2 messages deleted")).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Undo" }));
    await waitFor(() => {
      expect(called(path(question, "/restore"))).toHaveLength(1);
    });
  });

  it("is undone in its own chat when another one is open by then", async () => {
    answer("DELETE", path(reply), { message_ids: [reply.id] });
    answer("POST", path(reply, "/restore"), session);
    const user = await choose("reply", "Delete");
    const undo = await screen.findByRole("button", { name: "Undo" });
    const other = api.session("Another chat");
    chat.getState().open(other.id);
    await user.click(undo);
    await waitFor(() => {
      expect(called(path(reply, "/restore"))).toHaveLength(1);
    });
    expect(chat.getState().sessionId).toBe(other.id);
  });

  it("in another window shows here, whatever message is the last", async () => {
    api.messages = api.messages.filter(({ id }) => id !== question.id);
    Object.assign(reply, { parent_id: null });
    session.revision = 1;
    chat.getState().syncSession(session);
    await waitFor(() => {
      expect(screen.queryByRole("article", { name: "Your message" })).toBeNull();
    });
    const before = api.calls.length;
    chat.getState().syncSession(session);
    expect(api.calls).toHaveLength(before);
  });

  it("of a message that is gone already loads the chat again", async () => {
    api.refuse(`DELETE ${path(reply)}`, 404, "message_not_found", "There is no such message.");
    const before = called(`/api/sessions/${session.id}/messages`).length;
    await choose("reply", "Delete");
    await waitFor(() => {
      expect(called(`/api/sessions/${session.id}/messages`)).toHaveLength(before + 1);
    });
  });

  it("leaves a question that can be answered", async () => {
    api.messages = api.messages.filter(({ id }) => id !== reply.id);
    Object.assign(session, { leaf_id: question.id, revision: 1 });
    chat.getState().syncSession(session);
    const user = userEvent.setup();
    await user.click(await screen.findByRole("button", { name: "Write a reply" }));
    await waitFor(() => {
      expect(called(path(question, "/regenerate"))).toHaveLength(1);
    });
  });
});

it("branches off into a chat with a title of its own", async () => {
  const made = { ...session, id: "s9", title: "A chat (branch)" };
  answer("POST", path(reply, "/branch"), made);
  await choose("reply", "New chat from here");
  await waitFor(() => {
    expect(onBranch).toHaveBeenCalledWith(made);
  });
  expect(called(path(reply, "/branch"))[0]?.body).toEqual({ title: "A chat (branch)" });
});

describe("two versions", () => {
  it("are compared, and the better one is kept", async () => {
    session.leaf_id = question.id;
    const second = api.message(session, "assistant", "Better words.", { model: "big" });
    chat.getState().syncSession(session);
    await screen.findByText("Better words.");
    const user = await choose("reply", "Compare versions…");
    const dialog = await screen.findByRole("dialog", { name: "Compare versions" });
    const first = within(dialog).getByRole("region", { name: "First version shown" });
    expect(first.textContent).toContain("Some words.");
    expect(within(first).getByRole("option", { selected: true }).textContent).toBe(
      "1/2 · Tiny Instruct",
    );
    expect(await axeViolations()).toEqual([]);
    await user.click(within(first).getByRole("button", { name: "Keep this one" }));
    await waitFor(() => {
      expect(chat.getState().leafId).toBe(reply.id);
    });
    expect(chat.getState().messages[second.id]).toBeTruthy();
    expect(api.sessions[0]?.leaf_id).toBe(reply.id);
  });
});

describe("a page that is hidden", () => {
  const visibility = vi.fn(() => "hidden");

  beforeEach(() => {
    document.title = "A chat";
    vi.spyOn(document, "visibilityState", "get").mockImplementation(
      visibility as () => DocumentVisibilityState,
    );
    visibility.mockReturnValue("hidden");
  });

  it("marks its title when the reply is done, until it is seen", async () => {
    void chat.getState().send("Hello");
    await waitFor(() => {
      expect(api.streams).toHaveLength(1);
    });
    expect(document.title).toBe("A chat");
    api.stream.event("done", api.settle(session, "Hello."));
    await waitFor(() => {
      expect(document.title).toBe("● A chat");
    });
    visibility.mockReturnValue("visible");
    document.dispatchEvent(new Event("visibilitychange"));
    expect(document.title).toBe("A chat");
  });
});
