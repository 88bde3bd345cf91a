"""Messages are edited, deleted, branched off and compared; and what the model saw is shown."""

import re

import httpx
from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.page_actions import ask, finished, replies, session_id
from tests.running import Running


def mine(page: Page) -> Locator:
    """The messages of the person."""
    return page.get_by_role("article", name="Your message")


def choose(page: Page, of: str, action: str, *, which: int = -1) -> None:
    """Open the menu of a message or reply and choose an action."""
    button = page.get_by_role("button", name=f"More actions for this {of}").nth(which)
    button.scroll_into_view_if_needed()
    button.hover()
    button.click()
    page.get_by_role("menuitem", name=action, exact=True).click()


def test_a_reply_is_edited_continued_and_named(page: Page, echoing: Running) -> None:
    page.goto(echoing.url)
    ask(page, "echo:one and two")
    choose(page, "reply", "Edit reply")
    page.get_by_role("textbox", name="Edited reply").fill("one and a half")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(replies(page).locator(".markdown")).to_have_text("one and a half")
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    details = page.get_by_title("Details of this reply")
    expect(details).to_contain_text("edited")
    stored = httpx.get(f"{echoing.url}/api/sessions/{session_id(page)}/messages").json()
    assert [m["content"] for m in stored["messages"] if m.get("edited")] == ["one and a half"]
    choose(page, "reply", "Continue")
    finished(page)
    whole = httpx.get(f"{echoing.url}/api/sessions/{session_id(page)}/messages").json()
    assert whole["messages"][-1]["content"].startswith("one and a half")
    page.get_by_role("button", name="Earlier version").click()
    expect(replies(page).locator(".markdown")).to_contain_text("one and two")
    name = httpx.get(f"{echoing.url}/api/status").json()["models"][0]["name"]
    expect(page.get_by_title("Details of this reply")).to_contain_text(name)


def test_a_turn_is_deleted_in_both_windows_and_put_back(
    page: Page, context: BrowserContext, echoing: Running
) -> None:
    page.goto(echoing.url)
    for text in ("echo:first", "echo:second", "echo:third"):
        ask(page, text)
    other = context.new_page()
    other.goto(page.url)
    expect(mine(other)).to_have_count(3)
    choose(page, "message", "Delete with its reply", which=1)
    expect(page.get_by_text("2 messages deleted")).to_be_visible()
    expect(mine(page)).to_have_text(["echo:first", "echo:third"])
    # The window beside it finds out by itself.
    expect(mine(other)).to_have_text(["echo:first", "echo:third"])
    page.get_by_role("button", name="Undo").click()
    everything = ["echo:first", "echo:second", "echo:third"]
    expect(mine(page)).to_have_text(everything)
    expect(mine(other)).to_have_text(everything)
    choose(page, "reply", "Delete")
    expect(replies(page)).to_have_count(2)
    page.get_by_role("button", name="Write a reply").click()
    finished(page)
    expect(replies(page)).to_have_count(3)


def test_a_chat_goes_on_elsewhere_from_any_message(page: Page, echoing: Running) -> None:
    page.goto(echoing.url)
    ask(page, "echo:here")
    ask(page, "echo:and there")
    before = page.url
    choose(page, "reply", "New chat from here", which=0)
    expect(mine(page)).to_have_text(["echo:here"])
    assert page.url != before
    expect(page.get_by_role("link", name="echo:here (branch)").first).to_be_visible()
    page.go_back()
    expect(mine(page)).to_have_text(["echo:here", "echo:and there"])


def test_the_better_of_two_versions_is_kept(page: Page, echoing: Running) -> None:
    page.goto(echoing.url)
    ask(page, "echo:good")
    choose(page, "reply", "Edit reply")
    page.get_by_role("textbox", name="Edited reply").fill("better")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    choose(page, "reply", "Compare versions…")
    dialog = page.get_by_role("dialog", name="Compare versions")
    first = dialog.get_by_role("region", name="First version shown")
    expect(first.locator(".markdown")).to_contain_text("good")
    expect(dialog.get_by_role("region", name="Second version shown")).to_contain_text("better")
    first.get_by_role("button", name="Keep this one").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("group", name="Version 1 of 2")).to_be_visible()
    page.reload()
    expect(page.get_by_role("group", name="Version 1 of 2")).to_be_visible()


def test_what_was_sent_is_shown_with_its_tokens(page: Page, running: Running) -> None:
    page.goto(running.url)
    ask(page, "Say <|im_end|> to me.")
    page.get_by_title("Details of this reply").click()
    page.get_by_role("button", name="What was sent").click()
    dialog = page.get_by_role("dialog", name="What was sent")
    expect(dialog).to_contain_text("Say <|im_end|> to me.")
    last = httpx.get(f"{running.url}/api/sessions/{session_id(page)}/messages").json()["messages"][
        -1
    ]
    expect(dialog).to_contain_text(re.compile(rf"\b{last['usage']['prompt_tokens']} tokens"))
    expect(dialog.get_by_text("was not recorded")).to_have_count(0)
    # Control tokens are seen to be such; what somebody wrote is not.
    control = dialog.locator("[data-control]")
    expect(control.first).to_have_text("<|im_start|>")
    assert (
        dialog.get_by_text("<|im_end|>", exact=True).count()
        == control.filter(has_text="<|im_end|>").count()
    )
    dialog.get_by_role("checkbox", name="Show tokens").check()
    assert dialog.locator("[data-token]").count() == last["usage"]["prompt_tokens"]
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


HIDEABLE = """
window.asked = 0;
window.shown = [];
window.hidden = false;
Object.defineProperty(document, "visibilityState", { get: () => hidden ? "hidden" : "visible" });
window.Notification = class {
  static permission = "default";
  static requestPermission() {
    asked += 1;
    Notification.permission = "granted";
    return Promise.resolve("granted");
  }
  constructor(title, options) { shown.push([title, options.body]); }
};
"""


def test_a_hidden_page_says_when_a_long_reply_is_done(page: Page, slow: Running) -> None:
    page.add_init_script(HIDEABLE)
    page.goto(slow.url)
    # 20 bytes a second: a long reply.
    text = "echo:" + "a whale and a gull, " * 8
    page.get_by_role("textbox", name="Message", exact=True).fill(text)
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page).to_have_title(re.compile("^echo"))
    page.evaluate("hidden = true")
    expect(page).to_have_title(re.compile("^● echo"))
    assert page.evaluate("[asked, shown]") == [0, []]  # nobody asked for notifications
    page.evaluate("hidden = false; document.dispatchEvent(new Event('visibilitychange'))")
    expect(page).to_have_title(re.compile("^echo"))

    page.get_by_role("button", name="Settings").first.click()
    page.get_by_role("checkbox", name="Notify me").check()
    assert page.evaluate("asked") == 1
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Write another reply").click()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    page.evaluate("hidden = true")
    page.wait_for_function("() => shown.length === 1")
    assert page.evaluate("shown[0][0]") == "The reply is done"
    assert "a whale and a gull" in page.evaluate("shown[0][1]")
