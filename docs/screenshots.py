"""Takes the README's screenshots from the running page, with the real model.

Run as `make screenshots`. Needs Chromium (Debian package `chromium`).
"""

import sys
import tempfile
from pathlib import Path

import httpx
from playwright.sync_api import Page, ViewportSize, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.browser.conftest import ARGUMENTS
from tests.running import Running

HERE = Path(__file__).parent
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 390, "height": 844}
QUESTIONS = (
    "Give me three tips for a calm morning.",
    "Write a Python function that adds two numbers. Answer with a code block.",
)


def ask(page: Page, text: str) -> None:
    """Send a message and wait for the whole reply."""
    page.get_by_role("textbox", name="Message").fill(text)
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("article", name="Reply").last).not_to_be_empty(timeout=60_000)
    expect(page.get_by_role("button", name="Stop")).to_be_hidden(timeout=120_000)


def main() -> None:
    """Writes chat, dark, models, phone and phone-models beside this file, as PNG."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        appliance = Running(Path(folder)).start()
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        try:
            page = browser.new_page(viewport=WIDE, reduced_motion="reduce")
            # The same answers each time.
            httpx.patch(f"{appliance.url}/api/settings", json={"temperature": 0})
            page.goto(appliance.url)
            for question in QUESTIONS:
                page.get_by_role("button", name="New chat").first.click()
                ask(page, question)
            expect(page.locator("pre .hljs-keyword").first).to_be_visible()
            page.screenshot(path=HERE / "chat.png")
            page.emulate_media(color_scheme="dark")
            page.screenshot(path=HERE / "dark.png")
            address = page.url
            page.goto(f"{appliance.url}/#/models")
            expect(page.get_by_text("Suggested for this machine")).to_be_visible()
            page.emulate_media(color_scheme="light")
            page.screenshot(path=HERE / "models.png")
            phone = browser.new_page(viewport=NARROW, reduced_motion="reduce")
            phone.goto(address)
            expect(phone.get_by_role("article", name="Reply").last).not_to_be_empty()
            expect(phone.locator("pre .hljs-keyword").first).to_be_visible()
            phone.screenshot(path=HERE / "phone.png")
            phone.emulate_media(color_scheme="dark")
            phone.goto(f"{appliance.url}/#/models")
            expect(phone.get_by_text("Suggested for this machine")).to_be_visible()
            phone.screenshot(path=HERE / "phone-models.png")
        finally:
            browser.close()
            appliance.stop()


if __name__ == "__main__":
    main()
