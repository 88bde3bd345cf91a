"""With 20,000 tokens before it, a reply at 200 tokens/s costs no more per token than a short one.

The tests count what the page does, not how long it takes: function calls, as Chromium counts them,
and changes in the document. `benchmarks/rows_page.py` measures the time on a quiet machine.
"""

import sys
from collections.abc import Iterator

import pytest
from playwright.sync_api import CDPSession, Page, expect

from benchmarks.rows_page import PIECE, TEXTS
from tests.browser.conftest import FAKE_SERVICE
from tests.browser.page_actions import imported, long_chat
from tests.running import Running

TOKEN_LETTERS = 4
LETTERS, MOST_LETTERS = 4_000, 10_000
"""Of the reply."""
TURNS = 80_000 // (2 * len(PIECE))
"""20,000 tokens."""

CALLS_A_STEP = 80_000
"""Of functions, each time that the page shows more; a piece of a list takes half of them."""
CALLS_A_LETTER = 100
NODES = 100
"""That change in the document each time, beside those that are new."""
TEXT_LETTERS = 800
"""And letters, where a text is written anew."""

# Each step is one change of the reply: what was added, and what was touched for it.
WATCH = """() => {
  window.steps = [];
  window.frames = 1;
  let last = performance.now();
  const frame = (now) => {
    // Where none comes for a quarter of a second, a timer stands in.
    window.frames += 1 + Math.floor((now - last) / 250);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  const reply = document.querySelector("article[aria-busy=true]");
  const all = (node) => [node, ...[...node.childNodes].flatMap(all)];
  let length = reply.textContent.length;
  new MutationObserver((records) => {
    const text = reply.querySelector(".markdown");
    const inside = records.filter(({ target }) => text.contains(target));
    if (inside.length === 0) return;
    const touched = inside.flatMap(({ type, target, addedNodes, removedNodes }) =>
      type === "characterData" ? [target] : [...addedNodes, ...removedNodes].flatMap(all));
    const grown = text.textContent.length - length;
    length += grown;
    const letters = touched.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
    window.steps.push({ nodes: touched.length, letters, grown });
  }).observe(reply, { childList: true, characterData: true, subtree: true });
}"""


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A model that repeats its prompt, four letters a token, 200 tokens a second."""
    appliance = Running(
        tmp_path_factory.mktemp("quick"),
        command=(sys.executable, str(FAKE_SERVICE)),
        FAKE_STEP_SECONDS="0.0045",
        FAKE_TOKEN_BYTES=str(TOKEN_LETTERS),
        APPLIANCE_LIMITS_MAX_RESPONSE_TOKENS=str(MOST_LETTERS // TOKEN_LETTERS),
    ).start()
    yield appliance
    assert appliance.stop() == 0


def calls(profiler: CDPSession) -> int:
    """Function calls of the page since the last time."""
    scripts = profiler.send("Profiler.takePreciseCoverage")["result"]
    return sum(
        function["ranges"][0]["count"] for script in scripts for function in script["functions"]
    )


@pytest.mark.parametrize("letters", [LETTERS, pytest.param(MOST_LETTERS, marks=pytest.mark.soak)])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_growing_reply_costs_what_its_end_costs(
    page: Page, quick: Running, text: str, letters: int
) -> None:
    chat = long_chat(TURNS, PIECE * 2)
    page.goto(f"{quick.url}/#/s/{imported(quick, chat)}")
    expect(page.get_by_role("article", name="Reply")).to_have_count(TURNS)
    expect(page.locator("pre .hljs-keyword").first).to_be_attached()
    page.get_by_role("textbox", name="Message", exact=True).fill("echo:" + text[:letters])
    profiler = page.context.new_cdp_session(page)
    profiler.send("Profiler.enable")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelector('article[aria-busy=true] .markdown')")
    page.evaluate(WATCH)
    profiler.send("Profiler.startPreciseCoverage", {"callCount": True, "detailed": False})
    page.wait_for_function("() => !document.querySelector('article[aria-busy=true]')")
    called = calls(profiler)
    steps, frames = page.evaluate("[window.steps, window.frames]")
    grown = sum(step["grown"] for step in steps)
    assert grown > letters / 4
    assert len(steps) <= frames
    for step in steps:
        assert step["nodes"] <= NODES + step["grown"]
        assert step["letters"] <= TEXT_LETTERS + step["grown"]
    assert called <= CALLS_A_STEP * len(steps) + CALLS_A_LETTER * grown
