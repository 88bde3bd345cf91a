import { act, fireEvent, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it } from "vitest";

import { overHttp } from "@/api/reply-transport";
import type { Attachment } from "@/api/types";
import { createToastStore, ToastContext } from "@/components/toasts";
import { ChatView } from "@/features/chat/chat-view";
import { ChatContext } from "@/features/chat/state/chat-context";
import { createChatStore, type ChatStore } from "@/features/chat/state/chat-store";
import { FakeApi } from "@/testing/fake-api";

let api: FakeApi;
let chat: ChatStore;

const stored: Attachment = { id: "att-1", name: "a.txt", bytes: 5, kind: "text", characters: 200 };
const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status });

/** The next upload of `file` gives `attachment`, of which so many characters fit. */
function expectUpload(attachment = stored, shown: number | null = null) {
  const query = new URLSearchParams({ name: attachment.name, bytes: String(attachment.bytes) });
  api.next(`POST /api/attachments?${query.toString()}`, json(attachment, 201));
  const fits = [{ id: attachment.id, tokens: 1234, shown }];
  api.next(`GET /api/attachments/fit?ids=${attachment.id}`, json({ model: "m", n_ctx: 8, fits }));
}

const file = (text = "hello", name = "a.txt") => new File([text], name, { type: "text/plain" });
const input = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message" });
const chips = () => screen.getByRole("list", { name: "Attached files" });
const turns = () => api.calls.filter(({ path }) => path.endsWith("/turns"));

beforeEach(() => {
  api = new FakeApi().install();
  chat = createChatStore({
    transport: overHttp,
    onSessionCreated: () => undefined,
    onBranch: () => undefined,
    newChatSettings: () => null,
    onReplyFailed: () => undefined,
    onSessionChanged: () => undefined,
    onUnreachable: () => undefined,
    onLockedOut: () => undefined,
  });
  render(
    <ToastContext value={createToastStore()}>
      <ChatContext value={chat}>
        <ChatView
          hold={null}
          about={null}
          able
          model={null}
          presets={null}
          onNewChat={() => undefined}
        />
      </ChatContext>
    </ToastContext>,
  );
});

it("uploads a chosen file, shows its tokens, and sends it with the message", async () => {
  expectUpload();
  const user = userEvent.setup();
  await user.upload(screen.getByLabelText("Attach files", { selector: "input" }), file());
  await within(chips()).findByText("1,234 tokens");
  await user.type(input(), "What is it?{Enter}");
  await waitFor(() => {
    expect(turns()).toHaveLength(1);
  });
  expect(turns()[0]?.body).toMatchObject({ content: "What is it?", attachments: ["att-1"] });
});

it("says how much of a file fits, and sends a file without words", async () => {
  expectUpload(stored, 50);
  const user = userEvent.setup();
  await user.upload(screen.getByLabelText("Attach files", { selector: "input" }), file());
  await within(chips()).findByText("1,234 tokens · only the first 25% fits");
  await user.click(screen.getByRole("button", { name: "Send" }));
  await waitFor(() => {
    expect(turns()[0]?.body).toMatchObject({ content: "", attachments: ["att-1"] });
  });
});

it("shows why a file is refused, and keeps the text", async () => {
  const path = "POST /api/attachments?name=a.png&bytes=5";
  api.refuse(path, 400, "invalid_request", "a.png is an image, and images can't be attached yet.");
  const user = userEvent.setup();
  await user.type(input(), "Look");
  await user.upload(screen.getByLabelText("Attach files", { selector: "input" }), file("12345", "a.png"));
  await screen.findByText(/a\.png is an image/);
  expect(screen.queryByRole("list", { name: "Attached files" })).toBeNull();
  expect(input().value).toBe("Look");
});

it("takes files that are dropped", async () => {
  expectUpload();
  const dataTransfer = { types: ["Files"], files: [file()] };
  const zone = screen.getByRole("region", { name: "Chat" });
  fireEvent.dragEnter(zone, { dataTransfer });
  expect(screen.getByText("Drop files to attach them")).toBeTruthy();
  fireEvent.drop(zone, { dataTransfer });
  expect(screen.queryByText("Drop files to attach them")).toBeNull();
  await within(chips()).findByText("1,234 tokens");
  // Elsewhere, nothing happens, least of all that the browser leaves the page.
  expect(fireEvent.drop(document.body, { dataTransfer })).toBe(false);
  expect(within(chips()).getAllByRole("listitem")).toHaveLength(1);
});

it("makes a file of a long text that is pasted, and leaves a short one", async () => {
  const text = "word ".repeat(1000);
  const pasted = { ...stored, name: "Pasted text.txt", bytes: text.length };
  expectUpload(pasted);
  const paste = (data: string, files: File[] = []) =>
    fireEvent.paste(input(), { clipboardData: { getData: () => data, files } });
  expect(paste("A few words")).toBe(true);
  // A word processor's picture of its text.
  expect(paste("A few words", [file()])).toBe(true);
  expect(paste(text)).toBe(false);
  await within(chips()).findByText("Pasted text.txt");
});

it("removes a file, here and on the server", async () => {
  expectUpload();
  api.next("DELETE /api/attachments/att-1", new Response(null, { status: 204 }));
  const user = userEvent.setup();
  await user.upload(screen.getByLabelText("Attach files", { selector: "input" }), file());
  await within(chips()).findByText("1,234 tokens");
  await user.click(screen.getByRole("button", { name: "Remove a.txt" }));
  expect(screen.queryByRole("list", { name: "Attached files" })).toBeNull();
  expect(api.callsOf("DELETE /api/attachments/att-1")).toHaveLength(1);
});

it("puts the files of a refused message back", async () => {
  expectUpload();
  const user = userEvent.setup();
  const session = api.session("A chat");
  act(() => {
    chat.getState().open(session.id);
  });
  await waitFor(() => {
    expect(chat.getState().phase).toBe("ready");
  });
  const fits = [{ id: "att-1", tokens: 7, shown: null }];
  for (let time = 0; time < 2; time += 1) {
    api.next(
      `GET /api/attachments/fit?ids=att-1&session_id=${session.id}`,
      json({ model: "m", n_ctx: 8, fits }),
    );
  }
  await user.upload(screen.getByLabelText("Attach files", { selector: "input" }), file());
  await within(chips()).findByText("7 tokens");
  api.refuse(`POST /api/sessions/${session.id}/turns`, 507, "store_full", "The disk is full.");
  await user.type(input(), "Hi{Enter}");
  await screen.findByText(/The disk is full/);
  await within(chips()).findByText("a.txt");
  expect(input().value).toBe("Hi");
});
