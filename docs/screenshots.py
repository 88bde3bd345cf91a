"""Takes the README's screenshots from the running page, with the real model.

Run as `make screenshots`. Needs Chromium (Debian package `chromium`).
"""

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.browser.conftest import ARGUMENTS
from tests.running import Running

HERE = Path(__file__).parent
QUESTIONS = (
    "Give me three tips for a calm morning.",
    "Write a Python function that adds two numbers, and show how to call it.",
)


def ask(page: Page, text: str) -> None:
    """Send a message and wait for the whole reply."""
    page.get_by_role("textbox", name="Message").fill(text)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("article", name="Reply").last).not_to_be_empty(timeout=60_000)
    expect(page.get_by_role("button", name="Stop")).to_be_hidden(timeout=120_000)


def main() -> None:
    """Writes docs/chat.png and docs/phone.png."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        appliance = Running(Path(folder)).start()
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(appliance.url)
            for question in QUESTIONS:
                page.get_by_role("button", name="New chat").first.click()
                ask(page, question)
            expect(page.locator("pre code")).to_be_visible()
            page.screenshot(path=HERE / "chat.png")
            phone = browser.new_page(viewport={"width": 390, "height": 844})
            phone.goto(page.url)
            expect(phone.get_by_role("article", name="Reply").last).not_to_be_empty()
            expect(phone.locator("pre code")).to_be_visible()
            phone.screenshot(path=HERE / "phone.png")
        finally:
            browser.close()
            appliance.stop()


if __name__ == "__main__":
    main()
