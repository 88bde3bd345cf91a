"""Row 11: the page in a browser, while a reply streams into a long chat."""

import shutil
import time
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.client import BenchmarkError
from benchmarks.figures import Measure, Row, Verdict, at_most
from benchmarks.rows_load import FAKE_SERVICE
from benchmarks.servers import ROOT, Appliance
from benchmarks.stand import Stand
from tests.browser.page_actions import long_chat

TOKEN_BYTES = 4
CHAT_TOKENS = 20_000
STEP_SECONDS = 0.0045
"""With the fake runner's own overhead, about 200 tokens/s."""
LONG_MS = 50.0
_PATIENCE_MS = 120_000.0

_PARAGRAPH = (
    "The keeper of the lighthouse counted **every** ship that passed, wrote down its name, its"
    " flag and its *course*, and went to bed when `the lamp` had burned down. Nobody asked him to,"
    " and [nobody](https://example.com/) read what he wrote.\n\n"
)
_REST = """## What he wrote

| ship | flag | course |
| --- | --- | ---: |
| Albatross | Norway | 214 |
| Heron | Chile | 18 |

- a line for each ship,
- a word about the *weather*,
  - and sometimes two,
- nothing else.

```python
def course(of: Ship, winds: list[Wind]) -> float:
    # Where it went, as far as could be seen from the tower.
    seen = [wind.bearing for wind in winds if wind.strength > 3]
    return sum(seen) / len(seen) if seen else of.heading
```

"""
PIECE = _PARAGRAPH * 3 + _REST

_NUMBERS = range(400)
TEXTS = {
    "all kinds": PIECE * 20,
    "one list": "".join(
        f"{n}. **Item** {n}, `code`, a [link](https://example.org/)\n" for n in _NUMBERS
    ),
    "one table": "| a | b |\n| --- | --- |\n"
    + "".join(f"| row {n} | **many** |\n" for n in _NUMBERS),
    "one piece of code": "```python\n"
    + "".join(
        f"def course_{n}(of: Ship) -> float:\n    return of.heading + {n}\n" for n in _NUMBERS
    ),
    "one paragraph": "".join(f"Ship {n} was **counted**, *named* and `kept`. " for n in _NUMBERS),
    "one quote": "".join(f"> Ship {n} was **counted**, *named* and\n> `kept`.\n" for n in _NUMBERS),
}
"""Replies of at least 8,000 characters, which a page might parse again with every token."""

# Records the browser's long tasks (over 50 ms), and counts its frames.
_WATCH = """() => {
  window.longTasks = [];
  window.frames = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longTasks.push(duration);
  }).observe({ type: "longtask" });
  const frame = () => { window.frames += 1; requestAnimationFrame(frame); };
  requestAnimationFrame(frame);
}"""


def page_at_work(stand: Stand) -> Row:
    """A page that shows a reply at 200 tokens/s in a chat of 20,000 tokens."""
    settings = stand.settings
    tokens = 400 if settings.quick else 2000
    row = Row(
        11,
        "200 tokens/s into a chat of 20,000 tokens: the page's main thread",
        f"Chromium; the fake runner, {TOKEN_BYTES} letters a token, {tokens} tokens of each kind",
    )
    chromium = shutil.which("chromium")
    if chromium is None:
        raise BenchmarkError("Chromium is missing: install the Debian package `chromium`")
    ours = Appliance(
        stand.scratch / "page",
        str(FAKE_SERVICE),
        variables={
            "FAKE_STEP_SECONDS": str(STEP_SECONDS),
            "FAKE_TOKEN_BYTES": str(TOKEN_BYTES),
            "PYTHONPATH": str(ROOT),
        },
        server_log_level="warning",
    )
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            found = {
                kind: [_run(browser, ours.url, text, tokens) for _ in range(settings.repeat)]
                for kind, text in TEXTS.items()
            }
            browser.close()
    finally:
        ours.stop()
    counts = {kind: [float(len(each["long"])) for each in runs] for kind, runs in found.items()}
    longest = {
        kind: [max(each["long"], default=0.0) for each in runs] for kind, runs in found.items()
    }
    row.measures += [
        Measure("tasks over 50 ms", "", counts),
        Measure("the longest of them", "ms", longest),
        Measure("frames", "each second", _all(found, "frames")),
        Measure("the reply", "tokens/s", _all(found, "rate")),
    ]
    row.verdicts += [
        Verdict(f"tasks over 50 ms, {kind}", each, at_most(0)) for kind, each in counts.items()
    ]
    return row


def _all(found: dict[str, list[dict[str, Any]]], what: str) -> dict[str, list[float]]:
    return {kind: [each[what] for each in runs] for kind, runs in found.items()}


def _run(browser: Browser, url: str, text: str, tokens: int) -> dict[str, Any]:
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(_PATIENCE_MS)
    try:
        chat = long_chat(CHAT_TOKENS * TOKEN_BYTES // (2 * len(PIECE)), PIECE * 2)
        made = httpx.post(f"{url}/api/sessions/import", json=chat, timeout=60)
        if made.status_code != 201:
            raise BenchmarkError(f"the long chat could not be imported: {made.text[:200]}")
        page.goto(f"{url}/#/s/{made.json()['id']}")
        return _watched(page, text, tokens)
    finally:
        page.close()


def _watched(page: Page, text: str, tokens: int) -> dict[str, Any]:
    replies = page.get_by_role("article", name="Reply")
    replies.last.wait_for()
    page.locator("pre .hljs-keyword").first.wait_for(state="attached")
    wanted = text[: tokens * TOKEN_BYTES]
    page.get_by_role("textbox", name="Message", exact=True).fill(f"echo:{wanted}")
    page.evaluate(_WATCH)
    page.get_by_role("button", name="Send", exact=True).click()
    page.wait_for_function("() => document.querySelector('article[aria-busy=true] .markdown')")
    page.evaluate("window.frames = 0")
    began = time.perf_counter()
    page.wait_for_function("() => !document.querySelector('article[aria-busy=true]')")
    seconds = time.perf_counter() - began
    long, frames = page.evaluate("[window.longTasks, window.frames]")
    return {"long": long, "frames": frames / seconds, "rate": tokens / seconds}
