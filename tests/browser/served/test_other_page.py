"""Somebody else's built page, in a real browser: what it needs works once its policy is set."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.running import WITHOUT_MODEL, Running

DOCUMENT = """<!doctype html>
<html><head><title>theirs</title>
<link rel="stylesheet" href="/assets/style.css">
<style>#inline { color: rgb(1, 2, 3) }</style>
<script>window.inline = "ran"</script>
<script type="module" src="/assets/main.js"></script></head>
<body><p id="inline">inline</p><p id="linked">linked</p><ol id="done"></ol></body></html>
"""
STYLE = "#linked { color: rgb(4, 5, 6) }"
WORKER = """self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("message", (event) => event.source.postMessage("worker"));
"""
SCRIPT = """
const done = (text) => {
  const item = document.createElement("li");
  item.textContent = text;
  document.querySelector("#done").append(item);
};
const id = "their own/id";
const where = "/chat/history/" + encodeURIComponent(id);
const body = (prompt) => JSON.stringify({ prompt, "session-id": id, "max-token": 400 });
const socket = (prompt, each, end) => {
  const one = new WebSocket(location.origin.replace("http", "ws") + "/chat/ws");
  let text = "";
  one.onopen = () => one.send(body(prompt));
  one.onmessage = (event) => each(one, (text += event.data));
  one.onclose = () => end(text);
};
socket("echo:over a socket", () => {}, async (text) => {
  done(text);
  const stream = await fetch("/chat/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: body("echo:streamed"),
  });
  const events = await stream.text();
  done(events.replace(/^data: ?/gm, "").replaceAll("\\n", ""));
  socket("echo:" + "y".repeat(2000), (one, text) => text.length > 3 && one.close(), async () => {
    let before = "";
    for (;;) {
      const history = await (await fetch(where)).json();
      const last = history[history.length - 1];
      if (last.role === "assistant" && last.content && last.content === before) {
        done("stopped after " + last.content.length);
        break;
      }
      before = last.content;
      await new Promise((go) => setTimeout(go, 500));
    }
    done((await (await fetch("/sessions")).json()).join());
    done((await fetch(where, { method: "DELETE" })).status);
  });
});
navigator.serviceWorker.register("/worker.js").then(async () => {
  const ready = await navigator.serviceWorker.ready;
  navigator.serviceWorker.onmessage = (event) => done(event.data);
  navigator.serviceWorker.startMessages();
  ready.active.postMessage("hello");
});
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance with that page, and with the policy that its log proposed at the first start."""
    folder = tmp_path_factory.mktemp("theirs")
    page = folder / "dist"
    (page / "assets").mkdir(parents=True)
    for name, text in (
        ("index.html", DOCUMENT),
        ("worker.js", WORKER),
        ("assets/main.js", SCRIPT),
        ("assets/style.css", STYLE),
    ):
        (page / name).write_text(text, encoding="utf-8")
    shown = {"APPLIANCE_SERVER_UI_DIR": str(page), "FAKE_STEP_SECONDS": "0.02"}
    first = Running(folder, command=WITHOUT_MODEL, **shown).start()
    assert first.stop() == 0
    found = re.search(r'for example to \\"(.*?)\\"', first.log.read_text())
    assert found, first.log.read_text()
    shown["APPLIANCE_SERVER_UI_CSP"] = found[1]
    appliance = Running(folder, command=WITHOUT_MODEL, **shown).start()
    yield appliance
    assert appliance.stop() == 0


def test_a_page_of_somebody_else_works(theirs: Running, page: Page) -> None:
    page.goto(theirs.url)
    assert page.evaluate("window.inline") == "ran"
    expect(page.locator("#inline")).to_have_css("color", "rgb(1, 2, 3)")
    expect(page.locator("#linked")).to_have_css("color", "rgb(4, 5, 6)")
    items = page.locator("#done li")
    expect(items).to_have_count(6)
    texts = items.all_inner_texts()
    texts.remove("worker")
    assert texts[:2] == ["over a socket", "streamed"]
    length = int(texts[2].removeprefix("stopped after "))
    assert 3 < length < 2000
    assert texts[3:] == ["their own/id", "204"]
