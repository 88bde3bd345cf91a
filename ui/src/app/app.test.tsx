import { act, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, describe, expect, it } from "vitest";

import { App } from "@/app/app";
import { axeViolations } from "@/testing/axe";
import { FakeApi, readyModel } from "@/testing/fake-api";

let api: FakeApi;

beforeEach(() => {
  api = new FakeApi().install();
});

const input = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message" });

/** Shows the page, which says nothing before the server has said who asks. */
async function open() {
  const shown = render(<App />);
  await screen.findByRole("textbox", { name: "Message" });
  return shown;
}

describe("the page", () => {
  it("gives a new chat its address and its place in the list", async () => {
    const user = userEvent.setup();
    await open();
    await user.type(input(), "Hello there{Enter}");
    expect(await screen.findByRole("heading", { level: 1, name: "Hello there" })).toBeTruthy();
    expect(location.hash).toBe(`#/s/${api.sessions[0]?.id ?? ""}`);
    const nav = screen.getByRole("navigation", { name: "Chats" });
    expect(
      within(nav).getByRole("link", { name: /Hello there/ }).getAttribute("aria-current"),
    ).toBe("page");
    expect(document.title).toBe("Hello there");
    await user.click(screen.getByRole("button", { name: "New chat" }));
    expect(await screen.findByRole("heading", { name: "What would you like to know?" })).toBeTruthy();
  });

  it("opens the chat of its address, and goes on with the reply under way", async () => {
    const session = api.session("A chat");
    api.liveReply(session, "Count", "one ");
    history.replaceState(null, "", `#/s/${session.id}`);
    render(<App />);
    expect((await screen.findByRole("article", { name: "Your message" })).textContent).toBe(
      "Count",
    );
    expect(await screen.findByText("one")).toBeTruthy();
    act(() => {
      api.stream.delta("two");
    });
    expect(await screen.findByText("one two")).toBeTruthy();
  });

  it("keeps drafts apart", async () => {
    const user = userEvent.setup();
    api.session("A chat");
    await open();
    await user.type(input(), "for the new one");
    await user.click(await screen.findByRole("link", { name: "A chat" }));
    expect(input().value).toBe("");
    await user.click(screen.getByRole("button", { name: "New chat" }));
    await screen.findByRole("heading", { name: "What would you like to know?" });
    expect(input().value).toBe("for the new one");
  });

  it("leads to a new chat when the open one is deleted", async () => {
    const user = userEvent.setup();
    const session = api.session("A chat");
    history.replaceState(null, "", `#/s/${session.id}`);
    render(<App />);
    await user.click(await screen.findByRole("button", { name: "Actions for chat A chat" }));
    await user.click(screen.getByRole("menuitem", { name: "Delete" }));
    await user.click(screen.getByRole("button", { name: "Delete" }));
    expect(await screen.findByRole("heading", { name: "What would you like to know?" })).toBeTruthy();
    expect(location.hash).toBe("#/");
  });

  it("begins a chat with the settings and the model that were chosen for it, not for everybody", async () => {
    const user = userEvent.setup();
    const other = { ...readyModel, id: "other", name: "Other" };
    api.server = { ...api.server, models: [readyModel, other] };
    await open();
    await user.click(await screen.findByRole("button", { name: "Model: Tiny Instruct" }));
    await user.click(screen.getByRole("menuitemradio", { name: "Other" }));
    expect(await screen.findByRole("button", { name: "Model: Other" })).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "Settings" }));
    await user.type(await screen.findByLabelText("System prompt"), "Rhyme.");
    await user.click(screen.getByRole("button", { name: "Close" }));
    await user.type(input(), "Hello{Enter}");
    await screen.findByRole("heading", { level: 1, name: "Hello" });
    const [made] = api.callsOf("POST /api/sessions");
    expect(made?.body).toMatchObject({ settings: { model: "other", system_prompt: "Rhyme." } });
    expect(api.calls.filter(({ method }) => method === "PATCH")).toEqual([]);
    expect(screen.getByRole("button", { name: "Model: Other" })).toBeTruthy();
    await user.click(screen.getByRole("button", { name: "New chat" }));
    expect(await screen.findByRole("button", { name: "Model: Tiny Instruct" })).toBeTruthy();
  });

  it("asks for another key when its own is not valid any more, and shows what a chat key may do", async () => {
    const user = userEvent.setup();
    api.me = { name: "laptop", scope: "chat", auth: true };
    await open();
    await user.type(input(), "Half a thought");
    await user.click(screen.getByRole("button", { name: "Settings" }));
    await screen.findByLabelText("System prompt");
    expect(screen.queryByRole("link", { name: "Settings for everybody" })).toBeNull();
    expect(screen.queryByRole("link", { name: "Keys" })).toBeNull();
    api.me = { name: "stranger", scope: null, auth: true };
    api.refuse("GET /api/status", 401, "unauthorized", "This needs a key.");
    act(() => {
      window.dispatchEvent(new Event("online"));
    });
    expect(await screen.findByRole("heading", { name: "Sign in again" })).toBeTruthy();
    expect(screen.queryByText(/can’t be reached/)).toBeNull();
    api.me = { name: "laptop", scope: "manage", auth: true };
    await user.type(screen.getByLabelText("Key"), "another{Enter}");
    expect((await screen.findByRole<HTMLTextAreaElement>("textbox", { name: "Message" })).value).toBe(
      "Half a thought",
    );
    expect(await screen.findByRole("link", { name: "Settings for everybody" })).toBeTruthy();
  });

  it("says why it is not served where no key would help", async () => {
    api.me = { name: "stranger", scope: null, auth: false };
    api.refuse("GET /api/status", 401, "unauthorized", "This request came through a proxy.");
    render(<App />);
    expect(await screen.findByText("This request came through a proxy.")).toBeTruthy();
    expect(screen.queryByRole("textbox")).toBeNull();
  });

  it("hides the rail, and remembers that", async () => {
    const user = userEvent.setup();
    const { unmount } = await open();
    await user.click(screen.getByRole("button", { name: "Hide chats" }));
    unmount();
    await open();
    expect(screen.getByRole("complementary", { name: "Chats and views" }).hasAttribute("inert")).toBe(true);
    await user.click(screen.getByRole("button", { name: "Show chats" }));
    expect(screen.getByRole("complementary", { name: "Chats and views" }).hasAttribute("inert")).toBe(
      false,
    );
  });
});

describe("the state of the server", () => {
  it("shows the model's progress, and holds messages back until it is ready", async () => {
    const user = userEvent.setup();
    const loading = {
      ...readyModel,
      state: "loading" as const,
      progress: 0.42,
      detail: "Reading weights",
    };
    api.server = { ...api.server, models: [loading] };
    render(<App />);
    const bar = await screen.findByRole("progressbar", { name: "Loading Tiny Instruct" });
    expect(bar.getAttribute("aria-valuenow")).toBe("42");
    expect(screen.getByText(/Reading weights/)).toBeTruthy();
    await user.type(input(), "Hello{Enter}");
    expect(input().value).toBe("Hello");
    api.server = { ...api.server, models: [readyModel] };
    expect(await screen.findByText(/^Ready/)).toBeTruthy();
    await user.type(input(), "{Enter}");
    expect(await screen.findByRole("article", { name: "Your message" })).toBeTruthy();
  });

  it("says why a model could not be loaded, and when there is none", async () => {
    api.server = {
      ...api.server,
      models: [{ ...readyModel, state: "failed", progress: 0, detail: "Not a GGUF file." }],
    };
    const { unmount } = render(<App />);
    expect(await screen.findByText("Not a GGUF file.")).toBeTruthy();
    expect(screen.queryByRole("list", { name: "Examples" })).toBeNull();
    unmount();
    api.server = { ...api.server, models: [] };
    render(<App />);
    expect(await screen.findByText("No model is installed on this machine")).toBeTruthy();
  });

  it("says that the server is away, and recovers by itself", async () => {
    const session = api.session("A chat");
    api.message(session, "user", "Hi");
    history.replaceState(null, "", `#/s/${session.id}`);
    api.down = true;
    render(<App />);
    expect(await screen.findByText("The server can’t be reached.")).toBeTruthy();
    expect(await screen.findByRole("heading", { name: "This chat could not be loaded" })).toBeTruthy();
    api.down = false;
    expect(await screen.findByRole("article", { name: "Your message" })).toBeTruthy();
    expect(screen.queryByText("The server can’t be reached.")).toBeNull();
    expect(screen.getByRole("link", { name: "A chat" })).toBeTruthy();
  });
});

describe("axe", () => {
  it("minds nothing on an empty page, in a chat, in a dialog, while the server is away", async () => {
    const user = userEvent.setup();
    const session = api.session("A chat");
    api.message(session, "user", "Hi");
    api.message(session, "assistant", "# Hello\n\n```py\nx\n```", {
      status: "failed",
      error: { code: "worker_died", message: "It died." },
    });
    render(<App />);
    const link = await screen.findByRole("link", { name: "A chat" });
    expect(await axeViolations()).toEqual([]);
    await user.click(link);
    await screen.findByRole("heading", { name: "Hello" });
    expect(await axeViolations()).toEqual([]);
    await user.click(screen.getByRole("button", { name: "Actions for chat A chat" }));
    await user.click(screen.getByRole("menuitem", { name: "Delete" }));
    expect(await axeViolations()).toEqual([]);
    await user.click(screen.getByRole("button", { name: "Keep" }));
    api.down = true;
    await user.type(input(), "Hello?{Enter}");
    await screen.findByText("The server can’t be reached.");
    expect(await axeViolations()).toEqual([]);
  });
});
