"""Every view in both themes: no violation that axe finds, and no wider than a phone."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.page_actions import ask, finished
from tests.running import Running

UI = Path(__file__).parents[2] / "ui"
AXE = UI / "node_modules" / "axe-core" / "axe.min.js"
FIRST_PAINT_BYTES = 160_000


def violations(page: Page) -> list[str]:
    """Axe's violations, one line for each element, after all fade-ins: half-transparent text
    has half its contrast."""
    page.evaluate(
        """() => Promise.allSettled(document.getAnimations()
            .filter((one) => Number.isFinite(one.effect.getComputedTiming().endTime))
            .map((one) => one.finished))"""
    )
    page.evaluate(AXE.read_text("utf-8"))
    found: list[str] = page.evaluate(
        """async () => (await axe.run()).violations
            .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`))"""
    )
    return found


def views(page: Page, url: str) -> Iterator[str]:
    """Opens one view after the other; yields its name."""
    page.goto(url)
    expect(page.get_by_role("heading", name="What would you like to know?")).to_be_visible()
    yield "welcome"
    page.get_by_role("button", name="Model: ").click()
    expect(page.get_by_role("menuitem", name="All models")).to_be_visible()
    yield "models to choose"
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Presets", exact=True).click()
    expect(page.get_by_role("menuitem", name="Keep these settings as a preset")).to_be_visible()
    yield "presets"
    page.keyboard.press("Escape")
    ask(page, "Say one word about the moon, then show `code` and a list.")
    page.get_by_title("Details of this reply").click()
    yield "chat"
    page.get_by_role("button", name="Settings", exact=True).click()
    expect(page.get_by_role("textbox", name="Temperature")).to_be_visible()
    page.get_by_text("More", exact=True).click()
    expect(page.get_by_role("textbox", name="Min-p")).to_be_visible()
    yield "settings"
    page.get_by_role("button", name="Close").click()
    page.keyboard.press("Control+k")
    page.get_by_role("combobox", name="Search chats").fill("moon")
    expect(page.get_by_role("group", name="Messages").get_by_role("option").first).to_be_visible()
    yield "search"
    page.keyboard.press("Escape")
    page.keyboard.press("Control+/")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    yield "shortcuts"
    page.keyboard.press("Escape")
    for name, title in (
        ("models", "Models"),
        ("keys", "Keys"),
        ("status", "Status"),
        ("developers", "For programs"),
        ("everybody", "Settings for everybody"),
    ):
        page.goto(f"{url}/#/{name}")
        expect(page.get_by_role("heading", level=2, name=title)).to_be_visible()
        expect(page.get_by_text("Opening…")).to_have_count(0)
        yield name


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing(page: Page, running: Running, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    found = {}
    for name in views(page, running.url):
        assert page.evaluate("document.documentElement.dataset.theme") == theme
        found[name] = violations(page)
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_a_phone_is_wide_enough(browser: Browser, running: Running, direction: str) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        reduced_motion="reduce",  # an element that is still sliding in is not too wide
    )
    page = context.new_page()
    for name in views(page, running.url):
        page.evaluate("(dir) => { document.documentElement.dir = dir; }", direction)
        widths = page.evaluate(
            """() => {
              const scrolls = (e) => e && e !== document.body && (
                ["auto", "scroll"].includes(getComputedStyle(e).overflowX)
                  && e.scrollWidth > e.clientWidth && e.matches("pre, .table-frame, [data-wide]")
                || scrolls(e.parentElement));
              return [...document.querySelectorAll("body, body *")].filter((e) => {
                const { left, right, width } = e.getBoundingClientRect();
                return width > 1 && (left < -1 || right > 391)
                  && !e.closest(".sr-only") && !scrolls(e.parentElement);
              }).map((e) => e.outerHTML.slice(0, 120));
            }"""
        )
        assert widths == [], name
    context.close()


def test_no_motion_where_none_is_wanted(page: Page, running: Running) -> None:
    page.emulate_media(reduced_motion="reduce")
    page.goto(running.url)
    ask(page, "Say one word about rain.")
    finished(page)
    moving = page.evaluate(
        """() => [...document.querySelectorAll("*")].filter((e) => {
             const style = getComputedStyle(e);
             return style.animationName !== "none"
               || style.transitionDuration.split(",").some((d) => parseFloat(d) > 0);
           }).length"""
    )
    assert moving == 0


def test_what_the_page_names_is_there(running: Running) -> None:
    page = httpx.get(running.url, headers={"Accept": "text/html"})
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    responses = {one: httpx.get(running.url + one) for one in named}
    assert {one: response.status_code for one, response in responses.items()} == dict.fromkeys(
        named, 200
    )
    kinds = {response.headers["content-type"].partition(";")[0] for response in responses.values()}
    assert kinds == {
        *("text/javascript", "text/css"),
        *("image/svg+xml", "image/png", "application/json"),
    }


def test_the_first_paint_is_small() -> None:
    document = (UI / "dist" / "index.html").read_text("utf-8")
    files = re.findall(r'(?:src|href)="/(assets/[^"]+\.(?:js|css|svg))"', document)
    assert files
    sizes = [len(gzip.compress((UI / "dist" / file).read_bytes())) for file in files]
    assert sum(sizes) + len(gzip.compress(document.encode())) <= FIRST_PAINT_BYTES
