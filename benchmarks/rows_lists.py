"""Rows 15 to 17: the page with many chats, in a long chat, and with a long text in its input."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, Response, sync_playwright

from benchmarks.client import BenchmarkError
from benchmarks.figures import Measure, Row, Verdict, at_most
from benchmarks.rows_load import FAKE_SERVICE
from benchmarks.servers import ROOT, Appliance
from benchmarks.stand import Stand

FEW = 10
MANY_CHATS, LONG_CHAT = 10_000, 5_000
TEXTS = (100, 20_000, 200_000)
"""Characters in the input."""
LETTERS = 20
_PATIENCE_MS = 120_000.0
_WORDS = "Some **words** that fill a line of `text`, and some more of them. "

_WATCH = """() => {
  window.longTasks = [];
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longTasks.push(duration);
  }).observe({ type: "longtask", buffered: true });
}"""
# Milliseconds from a click on a chat until its last message is painted.
_OPEN = """([link, last]) => new Promise((resolve) => {
  const began = performance.now();
  document.querySelector(link).click();
  const look = () => {
    const shown = [...document.querySelectorAll("article")].at(-1);
    if (shown?.textContent.includes(last)) resolve(performance.now() - began);
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})"""
# Milliseconds from the start of the navigation until the list of chats is painted.
_LISTED = """() => new Promise((resolve) => {
  const look = () => {
    if (document.querySelector("[data-chat]")) resolve(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})"""


def many_chats(stand: Stand) -> Row:
    """A page that lists ten chats, and one that lists ten thousand."""
    count = 500 if stand.settings.quick else MANY_CHATS
    row = Row(15, f"a list of {FEW} chats and of {count:,}", "Chromium; the fake runner")
    with _browser() as browser:
        found: dict[str, list[dict[str, float]]] = {}
        for chats in (FEW, count):
            with _appliance(stand, f"list-{chats}") as url:
                _import(url, [_chat(f"chat-{number}", 2) for number in range(chats)])
                found[f"{chats:,} chats"] = [
                    _list_opened(browser, url, chats) for _ in range(stand.settings.repeat)
                ]
    _compare(row, found, "the list is shown")
    few, many = ([each["long"] for each in runs] for runs in found.values())
    more = [one - other for one, other in zip(many, few, strict=True)]
    row.verdicts.append(Verdict(f"tasks over 50 ms, more than with {FEW}", more, at_most(0)))
    polled = {name: [each["polled"] for each in runs] for name, runs in found.items()}
    row.measures.append(Measure("a poll with nothing new", "bytes", polled))
    return row


def long_chat(stand: Stand) -> Row:
    """A chat of ten messages that is opened, and one of five thousand."""
    count = 400 if stand.settings.quick else LONG_CHAT
    row = Row(16, f"opening a chat of {FEW} messages and of {count:,}", "Chromium; the fake runner")
    with _browser() as browser, _appliance(stand, "long") as url:
        lengths = {f"{FEW} messages": FEW, f"{count:,} messages": count}
        _import(url, [_chat(f"chat-{length}", length) for length in lengths.values()])
        found = {
            name: [_chat_opened(browser, url, length) for _ in range(stand.settings.repeat)]
            for name, length in lengths.items()
        }
    what = "the last message is shown"
    _compare(row, found, what)
    (_, name) = found
    times, tasks = ([each[key] for each in found[name]] for key in ("ms", "long"))
    row.verdicts += [
        Verdict(f"{what}, {name}, ms", times, at_most(200)),
        Verdict(f"tasks over 50 ms, {name}", tasks, at_most(0)),
    ]
    return row


def typing(stand: Stand) -> Row:
    """Letters typed into an input that holds a long text already."""
    row = Row(
        17,
        "a letter into an input with much text: the page's main thread",
        f"Chromium; {LETTERS} letters; beside it a text area on an empty page",
    )
    found: dict[str, list[float]] = {}
    with _browser() as browser, _appliance(stand, "typing") as url:
        for length in TEXTS:
            for kind, address in (("", url), (", bare", "")):
                found[f"{length:,} characters{kind}"] = [
                    _typed(browser, address, length) for _ in range(stand.settings.repeat)
                ]
    row.measures.append(Measure("a letter", "ms", found))
    ours = {name: each for name, each in found.items() if "bare" not in name}
    row.verdicts += [
        Verdict(f"a letter, {name}, ms", each, at_most(16)) for name, each in ours.items()
    ]
    # With very much text, a text area alone takes longer than that on a slow machine.
    *_, (name, longest) = ours.items()
    bare = found[f"{name}, bare"]
    ratios = [one / other for one, other in zip(longest, bare, strict=True)]
    row.verdicts.append(Verdict(f"a letter, {name}, compared with bare", ratios, at_most(1.5)))
    return row


def _compare(row: Row, found: dict[str, list[dict[str, float]]], what: str) -> None:
    times = {name: [each["ms"] for each in runs] for name, runs in found.items()}
    tasks = {name: [each["long"] for each in runs] for name, runs in found.items()}
    longest = {name: [each["longest"] for each in runs] for name, runs in found.items()}
    row.measures += [
        Measure(what, "ms", times),
        Measure("tasks over 50 ms", "", tasks),
        Measure("the longest of them", "ms", longest),
    ]
    few, many = times.values()
    ratios = [one / other for one, other in zip(many, few, strict=True)]
    row.verdicts.append(Verdict(f"{what}, compared with {FEW}", ratios, at_most(1.5)))


def _list_opened(browser: Browser, url: str, chats: int) -> dict[str, float]:
    def measure(page: Page) -> float:
        sizes: list[int] = []

        def received(response: Response) -> None:
            if "since=" in response.url:
                sizes.append(len(response.body()))

        page.on("response", received)
        page.goto(url)
        page.evaluate(_WATCH)
        shown: float = page.evaluate(_LISTED)
        # The whole list, and then a poll.
        page.wait_for_function(
            "chats => document.querySelector('nav').scrollHeight >= chats * 37", arg=chats
        )
        with page.expect_response(lambda one: "since=" in one.url):
            page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        page.evaluate("sizes => { window.polled = sizes }", sizes)
        return shown

    return _measured(browser, measure, polled=True)


def _chat_opened(browser: Browser, url: str, length: int) -> dict[str, float]:
    def measure(page: Page) -> float:
        page.goto(url)
        link = f'[data-chat="chat-{length}"]'
        page.locator(link).wait_for()
        # What is loaded when it is first needed is loaded.
        page.wait_for_load_state("networkidle")
        page.evaluate(_WATCH.replace(", buffered: true", ""))
        shown: float = page.evaluate(_OPEN, [link, f"Number {length - 1}."])
        page.wait_for_timeout(2000)  # the rest of the chat is loaded
        return shown

    return _measured(browser, measure)


def _measured(
    browser: Browser, measure: Callable[[Page], float], *, polled: bool = False
) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(_PATIENCE_MS)
    try:
        shown = measure(page)
        long: list[float] = page.evaluate("window.longTasks")
        found = {"ms": shown, "long": float(len(long)), "longest": max(long, default=0.0)}
        if polled:
            found["polled"] = float(page.evaluate("window.polled.at(-1) ?? 0"))
        return found
    finally:
        page.close()


def _typed(browser: Browser, url: str, length: int) -> float:
    """Milliseconds of the main thread for a letter."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(_PATIENCE_MS)
    try:
        if url:
            page.goto(url)
        else:
            page.set_content('<textarea id="message" style="width:40rem;height:15rem"></textarea>')
        box = page.locator("#message")
        box.fill((_WORDS * (length // len(_WORDS) + 1))[:length])
        box.press("Control+End")
        page.wait_for_timeout(1500)
        client = page.context.new_cdp_session(page)
        client.send("Performance.enable")

        def busy() -> float:
            metrics: list[dict[str, Any]] = client.send("Performance.getMetrics")["metrics"]
            return next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")

        before = busy()
        for _ in range(LETTERS):
            box.press("a")
        return (busy() - before) * 1000 / LETTERS
    finally:
        page.close()


@contextmanager
def _browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise BenchmarkError("Chromium is missing: install the Debian package `chromium`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@contextmanager
def _appliance(stand: Stand, name: str) -> Iterator[str]:
    ours = Appliance(
        stand.scratch / name,
        str(FAKE_SERVICE),
        variables={"PYTHONPATH": str(ROOT)},
        server_log_level="warning",
    )
    try:
        yield ours.url
    finally:
        ours.stop()


def _chat(name: str, count: int) -> dict[str, Any]:
    """A chat with so many messages, as an exported file."""
    messages = [
        {
            "id": f"{name}-{number}",
            "parent_id": f"{name}-{number - 1}" if number else None,
            "role": "assistant" if number % 2 else "user",
            "content": f"Number {number}. {_WORDS * (1 + number % 7)}",
            "reasoning": "",
            "status": "complete",
            "finish_reason": "stop" if number % 2 else None,
            "model": None,
            "created_at": 1_700_000_000_000 + number,
            "usage": None,
            "error": None,
        }
        for number in range(count)
    ]
    session = {"id": name, "title": name, "pinned": False, "settings": None}
    times = {"created_at": 1_700_000_000_000, "updated_at": 1_700_000_000_000}
    return {
        "format": "appliance.chat",
        "version": 1,
        "session": {**session, **times, "leaf_id": messages[-1]["id"]},
        "messages": messages,
    }


def _import(url: str, chats: Sequence[dict[str, Any]]) -> None:
    for first in range(0, len(chats), 1000):
        some = {"format": "appliance.chats", "version": 1, "chats": chats[first : first + 1000]}
        made = httpx.post(
            f"{url}/api/import",
            content=json.dumps(some),
            headers={"Content-Type": "application/json"},
            timeout=300,
        )
        if made.status_code != 200 or made.json()["failed"]:
            raise BenchmarkError(f"the chats could not be imported: {made.text[:200]}")
