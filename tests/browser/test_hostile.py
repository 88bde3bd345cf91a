"""Model output is text: it runs no code and contacts no server.

The fake runner repeats its prompt, a byte at a time, so that every split occurs.
"""

from playwright.sync_api import Dialog, Page, expect

from tests.browser.page_actions import finished, new_chat, replies, send
from tests.browser.payloads import PAYLOADS
from tests.running import Running

WATCH = "window.count = 0; window.ran = () => { window.count += 1; };"
A_CHAT = 5
"""Payloads in a chat."""
LIVE_PARTS = """() => [...document.querySelectorAll("main article")].flatMap((article) => [
  ...article.querySelectorAll(
    "script, iframe, object, embed, link, style, form, img, video, audio, base, meta, template"),
  ...[...article.querySelectorAll("a")].filter((a) =>
    !["http:", "https:", "mailto:"].includes(a.protocol) || a.target !== "_blank"
      || !a.relList.contains("noopener")),
  ...[...article.querySelectorAll("*")].filter((e) =>
    e.getAttributeNames().some((name) => name.startsWith("on"))),
]).map((e) => e.outerHTML)"""


def test_there_are_a_hundred() -> None:
    assert len(set(PAYLOADS)) == 100


def test_nothing_that_a_model_writes_runs_or_loads(page: Page, echoing: Running) -> None:
    page.add_init_script(WATCH)
    page.goto(echoing.url)
    dialogs: list[str] = []

    def note(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", note)
    for number, payload in enumerate(PAYLOADS):
        if number % A_CHAT == 0:
            new_chat(page)
        send(page, f"echo:{payload}")
        expect(replies(page)).to_have_count(number % A_CHAT + 1)
        expect(replies(page).last.locator(".markdown")).to_be_attached()
        finished(page)
        assert page.evaluate(LIVE_PARTS) == [], payload
        for link in replies(page).last.locator("a").all():
            link.hover()
    assert page.evaluate("count") == 0
    assert dialogs == []
    assert page.url.startswith(echoing.url)
