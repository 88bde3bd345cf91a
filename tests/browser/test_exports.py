"""A chat leaves the page: as a file, and on paper."""

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.browser.page_actions import imported, long_chat
from tests.running import Running

TURNS = 60
"""More than the page shows at once."""
REPLY = "So \\(x^2\\) is.\n\n```python\nprint(1)\n```\n\n| a |\n| - |\n| 1 |"


def opened(page: Page, running: Running) -> None:
    """A long chat with formulas, code and tables."""
    page.goto(f"{running.url}/#/s/{imported(running, long_chat(TURNS, REPLY))}")
    expect(page.get_by_role("article", name="Reply").last.locator(".katex")).to_be_visible()


def chosen(page: Page, action: str) -> None:
    """An action of the chat's menu."""
    page.get_by_role("button", name="Actions for chat A long chat").first.click()
    page.get_by_role("menuitem", name=action).click()


def sheet(page: Page) -> Locator:
    """What is printed."""
    return page.locator("body > .print-sheet")


def test_a_chat_is_saved_as_markdown(page: Page, echoing: Running, tmp_path: Path) -> None:
    opened(page, echoing)
    with page.expect_download() as download:
        chosen(page, "Export as Markdown")
    assert download.value.suggested_filename == "A long chat.md"
    download.value.save_as(tmp_path / "chat.md")
    text = (tmp_path / "chat.md").read_text()
    assert text.startswith("# A long chat\n\n## You · ")
    assert text.count(REPLY) == TURNS
    assert len(re.findall("^## a-model · ", text, re.MULTILINE)) == TURNS


def test_the_whole_chat_is_printed_without_the_rest_of_the_page(
    page: Page, echoing: Running
) -> None:
    opened(page, echoing)
    page.emulate_media(media="print", color_scheme="dark")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(sheet(page)).to_be_visible()
    expect(sheet(page).locator("section")).to_have_count(2 * TURNS)
    expect(sheet(page).locator("section .katex")).to_have_count(TURNS)
    for part in ("Chats and views", "Messages"):
        expect(page.get_by_label(part, exact=True)).to_be_hidden()
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_hidden()
    ink = "getComputedStyle(document.querySelector('.print-sheet pre code')).color"
    assert page.evaluate(ink) == "rgb(0, 0, 0)"
    expect(sheet(page).get_by_role("button").first).to_be_hidden()
    pages = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    assert pages > 5
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(sheet(page)).to_have_count(0)


def test_a_chat_of_the_list_is_printed(context: BrowserContext, echoing: Running) -> None:
    page = context.new_page()
    page.add_init_script("window.printed = 0; window.print = () => { window.printed += 1; };")
    imported(echoing, long_chat(2, REPLY))
    page.goto(echoing.url)
    chosen(page, "Print or save as PDF")
    page.wait_for_function("() => window.printed === 1")
    expect(sheet(page).locator("section")).to_have_count(4)
    expect(sheet(page)).to_be_hidden()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(sheet(page)).to_have_count(0)
