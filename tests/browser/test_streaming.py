"""A reply at 200 tokens/s, below 20,000 tokens, leaves the page's main thread free.

Counted is the processor time of each task, as Chromium traces it: how long a task took by the clock
says more about what else runs on the machine.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from benchmarks.rows_page import PIECE
from tests.browser.conftest import FAKE_SERVICE
from tests.browser.steps import imported, long_chat
from tests.running import Running

TASK_MS = 50
"""A task that is longer is felt."""
TOKENS = 2000
TOKEN_LETTERS = 4
TURNS = 80_000 // (2 * len(PIECE))
"""20,000 tokens."""

NUMBERS = range(400)
LISTED = "".join(f"{n}. **Item** {n}, `code`, a [link](https://example.org/)\n" for n in NUMBERS)
TABLED = "| a | b |\n| --- | --- |\n" + "".join(f"| row {n} | **many** |\n" for n in NUMBERS)
CODED = "```python\n" + "".join(
    f"def course_{n}(of: Ship) -> float:\n    return of.heading + {n}\n" for n in NUMBERS
)


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A model that repeats what it is told, four letters a token, 200 tokens a second."""
    appliance = Running(
        tmp_path_factory.mktemp("quick"),
        command=(sys.executable, str(FAKE_SERVICE)),
        FAKE_STEP_SECONDS="0.0045",
        FAKE_TOKEN_BYTES=str(TOKEN_LETTERS),
    ).start()
    yield appliance
    assert appliance.stop() == 0


def tasks_ms(trace: bytes) -> list[float]:
    """The processor time of each task of the page's main thread."""
    events: list[dict[str, Any]] = json.loads(trace)["traceEvents"]
    main = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        event["tdur"] / 1000
        for event in events
        if event["name"].endswith("RunTask")
        and (event["pid"], event["tid"]) in main
        and "tdur" in event
    ]


@pytest.mark.parametrize(
    "text",
    [PIECE * 20, LISTED, TABLED, CODED],
    ids=["of all kinds", "one list", "one table", "one piece of code"],
)
def test_no_task_is_long_while_a_reply_is_written(
    browser: Browser, page: Page, quick: Running, text: str
) -> None:
    chat = long_chat(TURNS, PIECE * 2)
    page.goto(f"{quick.url}/#/s/{imported(quick, chat)}")
    expect(page.get_by_role("article", name="Reply")).to_have_count(TURNS)
    expect(page.locator("pre .hljs-keyword").first).to_be_attached()
    page.get_by_role("textbox", name="Message", exact=True).fill(
        "echo:" + text[: TOKENS * TOKEN_LETTERS]
    )
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline"])
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('article[aria-busy=true] .markdown')")
    page.wait_for_function("() => !document.querySelector('article[aria-busy=true]')")
    tasks = tasks_ms(browser.stop_tracing())
    assert len(tasks) > TOKENS
    assert max(tasks) <= TASK_MS
