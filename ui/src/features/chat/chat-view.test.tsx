import { act, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { overHttp } from "@/api/reply-transport";
import { createToastStore, ToastContext } from "@/components/toasts";
import { ChatContext } from "@/features/chat/state/chat-context";
import { createChatStore, type ChatStore } from "@/features/chat/state/chat-store";
import { ChatView } from "@/features/chat/chat-view";
import type { Message } from "@/api/types";
import type { AnsweringModel } from "@/features/chat/state/model-context";
import { FakeApi, usage } from "@/testing/fake-api";

let api: FakeApi;
let chat: ChatStore;
const onNewChat = vi.fn();

function show(hold: string | null = null, model: AnsweringModel | null = null) {
  return render(
    <ToastContext value={createToastStore()}>
    <ChatContext value={chat}>
      <ChatView
        hold={hold}
        about={null}
        able
        model={model}
        presets={null}
        onNewChat={onNewChat}
      />
    </ChatContext>
    </ToastContext>,
  );
}

function aModel(changes: Partial<AnsweringModel>): AnsweringModel {
  const nothing = () => undefined;
  return { name: "Tiny", loading: null, failing: false, elsewhere: false, choose: nothing, ...changes };
}

/** Opens a chat with one question and this reply. */
async function showReply(reply: Partial<Message>, model: AnsweringModel | null = null) {
  const session = api.session("A chat");
  api.message(session, "user", "A question");
  const message = api.message(session, "assistant", "Some words.", reply);
  chat.getState().open(session.id);
  show(null, model);
  await screen.findByRole("article", { name: "Reply" });
  return { session, message };
}

const input = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message" });
const reply = () => screen.getByRole("article", { name: "Reply" });
const turns = () => api.calls.filter(({ path }) => path.endsWith("/turns"));

beforeEach(() => {
  onNewChat.mockClear();
  api = new FakeApi().install();
  chat = createChatStore({
    transport: overHttp,
    onSessionCreated: () => undefined,
    onBranch: () => undefined,
    onSessionChanged: () => undefined,
    newChatSettings: () => null,
    onReplyFailed: () => undefined,
    onUnreachable: () => undefined,
    onLockedOut: () => undefined,
  });
});

describe("writing", () => {
  it("sends with Enter, breaks the line with Shift+Enter", async () => {
    const user = userEvent.setup();
    show();
    await user.type(input(), "One{Shift>}{Enter}{/Shift}Two");
    expect(input().value).toBe("One\nTwo");
    await user.keyboard("{Enter}");
    expect(screen.getByRole("article", { name: "Your message" }).textContent).toBe("One\nTwo");
    expect(input().value).toBe("");
    await waitFor(() => {
      expect(turns()[0]?.body).toEqual({ content: "One\nTwo", parent_id: null });
    });
  });

  it("leaves Enter to an input method that composes", async () => {
    const user = userEvent.setup();
    show();
    await user.type(input(), "にほん");
    fireEvent.keyDown(input(), { key: "Enter", isComposing: true });
    expect(input().value).toBe("にほん");
    expect(turns()).toHaveLength(0);
  });

  it("offers nothing to send where there is nothing", async () => {
    const user = userEvent.setup();
    show();
    expect(screen.getByRole("button", { name: "Send" })).toHaveProperty("disabled", true);
    await user.type(input(), "   {Enter}");
    expect(turns()).toHaveLength(0);
  });

  it("keeps the text, and says why, while nothing can be sent", async () => {
    const user = userEvent.setup();
    show("The model is loading.");
    await user.type(input(), "Early{Enter}");
    expect(input().value).toBe("Early");
    expect(screen.getByText("The model is loading.")).toBeTruthy();
    await user.click(screen.getByRole("button", { name: /Explain something/ }));
    expect(input().value).toContain("sky");
    expect(api.calls).toHaveLength(0);
  });

  it("sends an example at a click", async () => {
    const user = userEvent.setup();
    show();
    await user.click(screen.getByRole("button", { name: /Write a little code/ }));
    expect(screen.getByRole("article", { name: "Your message" }).textContent).toContain("Python");
  });
});

describe("a reply being written", () => {
  async function writing() {
    const user = userEvent.setup();
    show();
    await user.type(input(), "Hello{Enter}");
    await waitFor(() => {
      expect(api.streams).toHaveLength(1);
    });
    return user;
  }

  it("shows how much of the prompt is read, then the text, then the figures", async () => {
    await writing();
    expect(within(reply()).getByText("Waiting for the model")).toBeTruthy();
    api.stream.event("prefill", { done: 512, total: 2048, cached_tokens: 0 });
    const bar = await screen.findByRole("progressbar", { name: "Reading the prompt" });
    expect(bar.getAttribute("aria-valuenow")).toBe("25");
    expect(reply().textContent).toContain("512 of 2,048 tokens");
    api.stream.delta("Good **day**");
    expect(await within(reply()).findByText("day")).toHaveProperty("tagName", "STRONG");
    expect(reply().getAttribute("aria-busy")).toBe("true");
    const [session] = api.sessions;
    if (!session) throw new Error("no session");
    api.stream.event("done", api.settle(session, "Good **day**"));
    const details = await screen.findByTitle("Details of this reply");
    expect(Array.from(details.querySelectorAll("span > span"), (figure) => figure.textContent)).toEqual([
      "tiny",
      "25.0 tokens/s",
      "50 tokens",
      "1,024 cached",
      "first token after 0.5 s",
    ]);
    expect(reply().getAttribute("aria-busy")).toBe("false");
    expect(screen.getByRole("button", { name: "Send" })).toBeTruthy();
  });

  it("stops with the button and with Esc, but not when Esc closes a dialog", async () => {
    const user = await writing();
    const stops = () => api.calls.filter(({ path }) => path.endsWith("/stop"));
    const dialog = document.createElement("dialog");
    dialog.open = true;
    document.body.append(dialog);
    await user.keyboard("{Escape}");
    expect(stops()).toHaveLength(0);
    dialog.remove();
    await user.keyboard("{Escape}");
    expect(stops()).toHaveLength(1);
    expect(screen.getByRole("button", { name: "Stop" })).toHaveProperty("disabled", true);
  });

  it("lets the next message be written meanwhile, and does not send it", async () => {
    const user = await writing();
    await user.type(input(), "Next{Enter}");
    expect(input().value).toBe("Next");
    expect(turns()).toHaveLength(1);
  });

  it("says that the connection was lost", async () => {
    await writing();
    api.stream.break();
    expect(await within(reply()).findByText(/connection was lost/)).toBeTruthy();
  });
});

describe("how a reply ended", () => {
  it("says stopped, interrupted, and cut at the limit", async () => {
    const session = api.session("A chat");
    for (const more of [
      { status: "stopped", finish_reason: "cancelled" },
      { status: "interrupted", finish_reason: null },
      { finish_reason: "length" },
    ] as const) {
      api.message(session, "user", "A question");
      api.message(session, "assistant", "Some words", more);
    }
    chat.getState().open(session.id);
    show();
    expect(await screen.findByText("You stopped this reply.")).toBeTruthy();
    expect(screen.getByText(/^Interrupted: .* The text so far is kept\.$/)).toBeTruthy();
    expect(screen.getByText(/reached its length limit/)).toBeTruthy();
  });

  it("says why it failed, and asks again", async () => {
    const user = userEvent.setup();
    const { session, message } = await showReply({
      content: "",
      status: "failed",
      error: { code: "worker_died", message: "The model's process ended." },
    });
    expect(screen.getByText("The model's process ended.")).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Try again" }));
    await waitFor(() => {
      const path = `/api/sessions/${session.id}/messages/${message.id}/regenerate`;
      expect(api.callsOf(`POST ${path}`)).toHaveLength(1);
    });
  });

  it("offers to edit what was too long instead of sending it again", async () => {
    const user = userEvent.setup();
    await showReply({
      content: "",
      status: "failed",
      error: { code: "context_length_exceeded", message: "5,212 tokens, and 4,096 fit." },
    });
    expect(screen.getByText(/5,212 tokens, and 4,096 fit/)).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Try again" })).toBeNull();
    await user.click(screen.getByRole("button", { name: "Edit the message" }));
    expect(input().value).toBe("A question");
    expect(screen.queryByRole("article")).toBeNull();
  });

  it.each([
    [null, /did not see 3 earlier messages\.$/],
    ["context", /did not see 3 earlier messages\. The chat is longer than the model can read/],
    ["limit", /did not see 3 earlier messages\. This message came from a program/],
  ] as const)("says how many messages the model did not see, and why: %s", async (by, text) => {
    await showReply({ usage: { ...usage, dropped_messages: 3, dropped_by: by } });
    expect(screen.getByText(text)).toBeTruthy();
  });

  it("does not take the end of the model's process for the appliance's", async () => {
    const error = { code: "worker_died", message: "Its process crashed." };
    await showReply({ status: "interrupted", error }, aModel({}));
    expect(screen.getByText("The reply broke off here.")).toBeTruthy();
    expect(screen.getByText("Its process crashed.")).toBeTruthy();
    expect(screen.queryByText(/the appliance stopped/)).toBeNull();
    expect(screen.getByRole("button", { name: "Continue" })).toBeTruthy();
    expect(screen.getByRole("button", { name: "Choose another model" })).toBeTruthy();
  });

  it("offers another model where this one's process died, or keeps dying", async () => {
    const user = userEvent.setup();
    const choose = vi.fn();
    const error = { code: "worker_died", message: "Its process crashed." };
    await showReply({ status: "failed", content: "", error }, aModel({ failing: true, choose }));
    expect(screen.getByText(/The process of Tiny crashed during the last requests/)).toBeTruthy();
    expect(screen.getByRole("button", { name: "Try again" })).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Choose another model" }));
    expect(choose).toHaveBeenCalledOnce();
  });
});

describe("the model", () => {
  it("is awaited with its progress and the time left", async () => {
    const user = userEvent.setup();
    show(null, aModel({ loading: { progress: 0.4, secondsLeft: 12 } }));
    await user.type(input(), "Hello{Enter}");
    expect(await screen.findByText("Loading Tiny · 40% · about 12 s left")).toBeTruthy();
    expect(screen.getByRole("progressbar", { name: "Loading Tiny" })).toBeTruthy();
    await screen.findByRole("article", { name: "Reply" });
    act(() => {
      api.stream.delta("Hi");
    });
    expect(await screen.findByText(/^Writing/)).toBeTruthy();
    expect(screen.queryByText(/Loading Tiny/)).toBeNull();
  });

  it("is said to run where it does", () => {
    const { unmount } = show(null, aModel({ elsewhere: true }));
    expect(screen.getByText(/^This model runs on another server, which receives/)).toBeTruthy();
    expect(screen.getByText("Generated on another server. Replies can be wrong.")).toBeTruthy();
    unmount();
    vi.stubGlobal("location", { hostname: "box.local" });
    show(null, aModel({}));
    vi.unstubAllGlobals();
    expect(screen.getByText(/^The model runs on box\.local, where your chats are kept/)).toBeTruthy();
    expect(screen.getByText("Generated on box.local. Replies can be wrong.")).toBeTruthy();
    expect(screen.queryByText(/this machine/)).toBeNull();
  });
});

describe("a send that fails", () => {
  it("keeps the text and says what to do", async () => {
    const user = userEvent.setup();
    const { session } = await showReply({});
    api.refuse(`POST /api/sessions/${session.id}/turns`, 503, "queue_full", "16 wait already.");
    await user.type(input(), "Me too{Enter}");
    const alert = await screen.findByRole("alert");
    expect(alert.textContent).toContain("16 wait already. The appliance is busy with other requests.");
    expect(input().value).toBe("Me too");
    await user.click(within(alert).getByRole("button", { name: "Dismiss" }));
    expect(screen.queryByRole("alert")).toBeNull();
  });

  it("says that nothing was sent when the server is away", async () => {
    const user = userEvent.setup();
    await showReply({});
    api.down = true;
    await user.type(input(), "Hello?{Enter}");
    expect((await screen.findByRole("alert")).textContent).toContain("not sent");
    expect(input().value).toBe("Hello?");
  });
});

describe("a chat that is not there", () => {
  it("says so and leads to a new one", async () => {
    const user = userEvent.setup();
    show();
    act(() => {
      chat.getState().open("nobody");
    });
    await user.click(await screen.findByRole("button", { name: "Start a new chat" }));
    expect(onNewChat).toHaveBeenCalledOnce();
  });
});
