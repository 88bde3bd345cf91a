"""Debian's Chromium, driven by Playwright."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.models.fake_hub import Hub, serving_one
from tests.running import Running, serving

FAKE_SERVICE = Path(__file__).parents[1] / "service" / "fake_service.py"

# A reply of the real model can take long on a busy machine.
expect.set_options(timeout=60_000)

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

BRIEF = {"APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS": "30"}


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("Chromium is missing: install the Debian package `chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh profile."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(30_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page that fails the test when it logs an error or contacts any server but its own."""
    page = context.new_page()
    errors: list[str] = []
    foreign: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda m: errors.append(m.text) if "Content Security" in m.text else None)
    page.on(
        "request",
        lambda r: None if r.url.startswith("http://127.0.0.1:") else foreign.append(r.url),
    )
    yield page
    assert errors == []
    assert foreign == []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance with the embedded model, whose chats belong to one test file, and whose replies
    are short: asked for one word, the model may write hundreds."""
    folder = tmp_path_factory.mktemp("page")
    yield from serving(folder, **BRIEF)


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same, with replies that are long enough to be stopped or left."""
    folder = tmp_path_factory.mktemp("talkative")
    yield from serving(folder)


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance whose model repeats its prompt, a byte at a time."""
    appliance = Running(
        tmp_path_factory.mktemp("echo"), command=(sys.executable, str(FAKE_SERVICE))
    ).start()
    yield appliance
    assert appliance.stop() == 0


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The same at 20 bytes a second, so that a reply can be inspected while it is written."""
    appliance = Running(
        tmp_path_factory.mktemp("slow"),
        command=(sys.executable, str(FAKE_SERVICE)),
        FAKE_STEP_SECONDS="0.05",
    ).start()
    yield appliance
    assert appliance.stop() == 0


@pytest.fixture
def hub() -> Iterator[Hub]:
    """A local hub with one model."""
    with serving_one() as hub:
        yield hub
