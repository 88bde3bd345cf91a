import { act, render, screen, waitFor } from "@testing-library/react";
import type { Options } from "react-markdown";
import { beforeEach, describe, expect, it, vi } from "vitest";

import { overHttp } from "@/api/reply-transport";
import { createToastStore, ToastContext } from "@/components/toasts";
import { ChatContext } from "@/features/chat/state/chat-context";
import { createChatStore, type ChatStore } from "@/features/chat/state/chat-store";
import { ChatView } from "@/features/chat/chat-view";
import { FakeApi } from "@/testing/fake-api";

const rendered: string[] = [];

vi.mock("react-markdown", async (original) => {
  const real = await original<typeof import("react-markdown")>();
  return {
    ...real,
    default: (options: Options) => {
      rendered.push(options.children ?? "");
      return real.default(options);
    },
  };
});

let api: FakeApi;
let chat: ChatStore;

beforeEach(() => {
  rendered.length = 0;
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

function show() {
  return render(
    <ToastContext value={createToastStore()}>
    <ChatContext value={chat}>
      <ChatView hold={null} about={null} able model={null} presets={null} onNewChat={() => undefined} />
    </ChatContext>
    </ToastContext>,
  );
}

async function text(wanted: string) {
  await waitFor(() => {
    expect(document.body.textContent).toContain(wanted);
  });
}

describe("a reply that grows in a long chat", () => {
  it("has only its last block rendered again, and nothing else of the chat", async () => {
    const session = api.session("Long");
    for (let turn = 0; turn < 8; turn += 1) {
      api.message(session, "user", `Question ${turn}`);
      api.message(session, "assistant", `Reply ${turn}.\n\n${"Some **words**. ".repeat(200)}`);
    }
    api.liveReply(session, "The last question", "One.\n\nTwo.\n\n");
    chat.getState().open(session.id);
    show();
    await text("Reply 0.");
    await text("Two.");
    // Shown as Markdown, not as what stands there until the renderer is fetched.
    await waitFor(() => {
      expect(document.querySelector(".whitespace-pre-wrap.markdown")).toBeNull();
    });
    expect(rendered).toContain("One.");

    rendered.length = 0;
    for (const word of ["Three", " and", " four", " and", " five."]) {
      act(() => {
        api.stream.delta(word);
      });
      await text(word);
    }
    await text("Three and four and five.");
    expect(rendered).not.toEqual([]);
    expect(rendered.filter((block) => !block.startsWith("Three"))).toEqual([]);
  });

  it("opens with its end, and has all of it before long", async () => {
    const session = api.session("Long");
    for (let turn = 0; turn < 6; turn += 1) {
      api.message(session, "user", `Question ${turn}`);
      api.message(session, "assistant", `Reply ${turn}. ${"Many words. ".repeat(400)}`);
    }
    chat.getState().open(session.id);
    show();
    const first = await screen.findAllByRole("article");
    expect(first.at(-1)?.textContent).toContain("Reply 5.");
    await waitFor(() => {
      expect(screen.getAllByRole("article")).toHaveLength(12);
    });
    expect(screen.getAllByRole("article")[0]?.textContent).toBe("Question 0");
  });
});
