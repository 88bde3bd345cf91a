"""What a model writes is text: it runs nothing and asks nobody.

The fake runner says what it is told, a byte at a time, so that every cut is tried.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.payloads import PAYLOADS
from tests.browser.steps import finished, new_chat, replies, send
from tests.running import Running

SERVICE = Path(__file__).parents[1] / "service" / "fake_service.py"
WATCH = "window.count = 0; window.ran = () => { window.count += 1; };"
LIVE_PARTS = """() => [...document.querySelectorAll("main article")].flatMap((article) => [
  ...article.querySelectorAll(
    "script, iframe, object, embed, link, style, form, img, video, audio, base, meta, template"),
  ...[...article.querySelectorAll("a")].filter((a) =>
    !["http:", "https:", "mailto:"].includes(a.protocol) || a.target !== "_blank"
      || !a.relList.contains("noopener")),
  ...[...article.querySelectorAll("*")].filter((e) =>
    e.getAttributeNames().some((name) => name.startsWith("on"))),
]).map((e) => e.outerHTML)"""


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance whose model repeats what it is told."""
    appliance = Running(
        tmp_path_factory.mktemp("echo"), command=(sys.executable, str(SERVICE))
    ).start()
    yield appliance
    assert appliance.stop() == 0


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
    for payload in PAYLOADS:
        new_chat(page)
        send(page, f"echo:{payload}")
        expect(replies(page).locator(".markdown")).to_be_attached()
        finished(page)
        assert page.evaluate(LIVE_PARTS) == [], payload
        for link in replies(page).locator("a").all():
            link.hover()
    assert page.evaluate("count") == 0
    assert dialogs == []
    assert page.url.startswith(echoing.url)
