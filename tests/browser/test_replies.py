"""A reply survives closed sockets and windows, and none of its versions is lost."""

import httpx
from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.page_actions import ask, finished, new_chat, replies, send, session_id
from tests.running import Running

KEEP_SOCKETS = """
window.sockets = [];
window.WebSocket = class extends WebSocket {
  constructor(...args) { super(...args); sockets.push(this); }
};
"""
LONG_ENOUGH = """(least) =>
  (document.querySelector("article[aria-label=Reply]")?.innerText ?? "").length > least
"""


def stored_text(running: Running, page: Page) -> str:
    """The last reply as the server has it."""
    path = f"/api/sessions/{session_id(page)}/messages"
    text: str = httpx.get(running.url + path).json()["messages"][-1]["content"]
    return text


def words(text: str) -> list[str]:
    """What is left of Markdown, and of what it is shown as, without the marks."""
    plain = "".join(letter if letter.isalpha() else " " for letter in text)
    return plain.split()


def test_a_reply_goes_on_where_it_was_when_its_socket_breaks(
    page: Page, talkative: Running
) -> None:
    page.add_init_script(KEEP_SOCKETS)
    page.goto(talkative.url)
    send(page, "Tell me a long story about a fox and a crow.")
    for least in (40, 160):
        page.wait_for_function(LONG_ENOUGH, arg=least)
        page.evaluate("sockets.at(-1).close()")
    page.wait_for_function(LONG_ENOUGH, arg=280)
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    assert page.evaluate("sockets.length") > 1
    shown = replies(page).locator(".markdown").inner_text()
    assert words(shown) == words(stored_text(talkative, page))


def test_two_windows_show_one_reply(page: Page, context: BrowserContext, slow: Running) -> None:
    page.goto(slow.url)
    send(page, "echo:" + "a whale and a gull, " * 100)
    page.wait_for_function(LONG_ENOUGH, arg=30)
    other = context.new_page()
    other.goto(page.url)
    other.wait_for_function(LONG_ENOUGH, arg=60)
    other.get_by_role("button", name="Stop", exact=True).click()
    finished(other)
    finished(page)
    shown = replies(page).locator(".markdown").inner_text()
    expect(replies(other).locator(".markdown")).to_have_text(shown, use_inner_text=True)
    # A question in one window appears in the other.
    send(page, "echo:" + "and what happened then, " * 100)
    expect(other.get_by_role("article", name="Your message")).to_have_count(2)
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    finished(other)


def test_branches_are_left_and_found_again(page: Page, talkative: Running) -> None:
    page.goto(talkative.url)
    ask(page, "Say one word about apples.")
    first = replies(page).locator(".markdown").inner_text()
    page.get_by_role("button", name="Write another reply").click()
    expect(page.get_by_role("group", name="Version 2 of 2")).to_be_visible()
    finished(page)
    second = replies(page).locator(".markdown").inner_text()
    page.get_by_role("button", name="Earlier version").click()
    expect(replies(page).locator(".markdown")).to_have_text(first, use_inner_text=True)
    page.get_by_role("button", name="Later version").click()
    expect(replies(page).locator(".markdown")).to_have_text(second, use_inner_text=True)

    page.get_by_role("article", name="Your message").hover()
    page.get_by_role("button", name="Edit message").click()
    page.get_by_role("textbox", name="Edited message").fill("Say one word about pears.")
    page.keyboard.press("Enter")
    mine = page.get_by_role("article", name="Your message")
    expect(mine).to_have_text("Say one word about pears.")
    finished(page)
    page.get_by_role("button", name="Earlier version").click()
    expect(mine).to_have_text("Say one word about apples.")
    # The branch that was shown last is the one that opens.
    expect(replies(page).locator(".markdown")).to_have_text(second, use_inner_text=True)
    page.reload()
    expect(mine).to_have_text("Say one word about apples.")


def test_a_stopped_reply_goes_on(page: Page, talkative: Running) -> None:
    page.goto(talkative.url)
    new_chat(page)
    send(page, "Write a very long story about a lighthouse, in twenty chapters.")
    page.wait_for_function(LONG_ENOUGH, arg=40)
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    before = stored_text(talkative, page)
    page.get_by_role("button", name="Continue").click()
    page.wait_for_function(LONG_ENOUGH, arg=len(before) + 40)
    page.get_by_role("button", name="Stop", exact=True).click()
    finished(page)
    after = stored_text(talkative, page)
    assert after.startswith(before)
    assert len(after) > len(before)
    expect(replies(page)).to_have_count(1)
