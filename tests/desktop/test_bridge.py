"""The window's API for pages, under the content security policy of the appliance's own page."""

import contextlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.api.admin.system import CONTENT_POLICY
from appliance.desktop.bridge import Bridge
from appliance.desktop.messages import PageDrawn, Prepare, Show, from_window, line
from tests.desktop.screen import Screen
from tests.desktop.user_actions import choose, prefers_to_type, wait_for_dialog
from tests.waiting import wait_until

DOCUMENT = b"""<!doctype html><meta charset=utf-8><title>t</title><div id=root><p>Here</p></div>
<a id=away href="https://example.com/page?a=1">away</a> <a id=file href="file:///etc/passwd">f</a>
<textarea id=field rows=3>some words</textarea>
<script src=/page.js></script>"""
# Reports its findings to the server, and runs the actions from the server's /next.
SCRIPT = b"""
const report = (what, value) =>
  fetch("/reports", {method: "POST", body: JSON.stringify({what, value})});
addEventListener("applianceready", async () => {
  await report("history", history.length);
  await report("api", Object.keys(window.pywebview.api).sort());
  for (;;) {
    const { call, args, click, select, print } = await (await fetch("/next")).json();
    if (click) { document.getElementById(click).click(); continue; }
    if (print) { window.print(); continue; }
    if (select) {
      const field = document.getElementById(select);
      field.select();
      field.addEventListener("cut", () => report("cut", String(field.value)));
      const { x, y } = field.getBoundingClientRect();
      await report("place", [Math.round(x), Math.round(y)]);
      continue;
    }
    if (!call) { await new Promise((go) => setTimeout(go, 100)); continue; }
    try { await report(call, await window.pywebview.api[call](...args)); }
    catch (error) { await report(call, "rejected: " + error.message); }
  }
});
"""


class Page:
    """A page that the test controls, and its server."""

    def __init__(self) -> None:
        self.reports: list[dict[str, Any]] = []
        self.to_do: list[dict[str, Any]] = []
        page = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/next":
                    body = json.dumps(page.to_do.pop(0) if page.to_do else {}).encode()
                else:
                    body = SCRIPT if self.path == "/page.js" else DOCUMENT
                kind = "text/javascript" if self.path == "/page.js" else "text/html"
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Security-Policy", CONTENT_POLICY)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                page.reports.append(json.loads(body))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def has_reported(self, what: str) -> bool:
        """Whether there is a report of it that was not read yet."""
        return any(one["what"] == what for one in self.reports)

    def answer(self, what: str) -> Any:
        """Wait for the page's report of it, and remove it."""
        wait_until(lambda: self.has_reported(what), f"nothing about {what}")
        found = next(one for one in self.reports if one["what"] == what)
        self.reports.remove(found)
        return found["value"]

    def call(self, name: str, *arguments: object) -> Callable[[], Any]:
        """Have the page call the window; the returned function waits for the result."""
        self.to_do.append({"call": name, "args": arguments})
        return lambda: self.answer(name)


@pytest.fixture
def page(screen: Screen, engine: str, tmp_path: Path, browser_log: Path) -> Iterator[Page]:
    """The page in its own window, without a service."""
    page = Page()
    window = subprocess.Popen(
        [sys.executable, "-m", "appliance", "window", engine],
        env=os.environ
        | screen.environment
        | {"BROWSER": str(tmp_path / "browser"), "XDG_CACHE_HOME": str(tmp_path)}
        | prefers_to_type(tmp_path / "config"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert window.stdin and window.stdout
    first = Prepare(str(tmp_path / "window.json"), str(tmp_path / "kept"), "")
    window.stdin.write(line(first) + line(Show(page.url, "", False)))
    window.stdin.flush()
    while not isinstance(from_window(window.stdout.readline()), PageDrawn):
        assert window.poll() is None
    assert page.answer("history") == 1, "there is a way back to the empty page"
    assert page.answer("api") == [
        *("answer_closing", "open_external", "open_file", "save_file", "zoom")
    ]
    yield page
    window.stdin.close()
    try:
        assert window.wait(60) == 0
    finally:
        window.kill()
        window.wait()
        window.stdout.close()
        page.server.shutdown()
        page.server.server_close()


def test_a_file_is_saved_whole_where_the_person_says(
    page: Page, screen: Screen, tmp_path: Path
) -> None:
    text = json.dumps({"words": "ä – 日本 \\ ' \" \n"}) * 1000
    saved = page.call("save_file", "../../chat.json", text)
    choose(lambda: page.has_reported("save_file"), screen, tmp_path / "mine.json")
    assert saved() == str(tmp_path / "mine.json")
    assert (tmp_path / "mine.json").read_text(encoding="utf-8") == text
    assert not list(tmp_path.glob(".appliance-*"))
    declined = page.call("save_file", "chat.json", "other")
    wait_for_dialog(screen)
    screen.press("Escape")
    assert declined() is None


def test_a_file_is_read(page: Page, screen: Screen, tmp_path: Path) -> None:
    (tmp_path / "chat.json").write_text('{"a": "ä\'\\\\"}', encoding="utf-8")
    declined = page.call("open_file")
    wait_for_dialog(screen)
    screen.press("Escape")
    assert declined() is None
    opened = page.call("open_file")
    choose(lambda: page.has_reported("open_file"), screen, tmp_path / "chat.json")
    assert opened() == {"name": "chat.json", "text": '{"a": "ä\'\\\\"}'}


def test_a_file_that_is_no_text_or_too_large_is_refused(tmp_path: Path) -> None:
    bridge = Bridge(
        zoom=1, set_zoom=lambda _: None, on_ready=lambda: None, on_closing_answer=lambda _: None
    )
    file = tmp_path / "picture.json"
    bridge.use_dialogs(lambda *_, **__: (str(file),))
    file.write_text("ä", encoding="utf-8")
    assert bridge.open_file() == {"name": "picture.json", "text": "ä"}
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"picture.json is not a text file"):
        bridge.open_file()
    with file.open("wb") as large:
        large.truncate(65 * 1024 * 1024)
    with pytest.raises(ValueError, match="larger than 64 MB"):
        bridge.open_file()


def test_what_leads_away_opens_in_the_browser_and_files_never(
    page: Page, browser_log: Path
) -> None:
    page.to_do.append({"click": "file"})
    page.to_do.append({"click": "away"})
    wait_until(browser_log.exists, "nothing was opened")
    assert page.call("open_external", "mailto:a@example.com")() is True
    for url in ("file:///etc/passwd", "javascript:alert(1)", "/bin/sh", ""):
        assert page.call("open_external", url)() is False
    assert browser_log.read_text().split() == [
        "https://example.com/page?a=1",
        "mailto:a@example.com",
    ]


def test_the_page_grows_and_shrinks_and_it_is_remembered(
    page: Page, screen: Screen, tmp_path: Path
) -> None:
    assert page.call("zoom", 1)() == pytest.approx(1.1)
    (window,) = screen.windows()
    screen.do("windowfocus", "--sync", window)
    screen.click(window, 300, 300)
    screen.press("ctrl+minus", "ctrl+minus")
    wait_until(lambda: page.call("zoom", -1)() < 0.9, "the keys do nothing")
    assert page.call("zoom", 0)() == 1
    assert page.call("zoom", 1)() == pytest.approx(1.1)
    screen.press("alt+F4")
    wait_until(lambda: not screen.windows(), "the window does not close")
    assert json.loads((tmp_path / "window.json").read_text())["zoom"] == pytest.approx(1.1)


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    bridge = Bridge(
        zoom=1, set_zoom=lambda _: None, on_ready=lambda: None, on_closing_answer=lambda _: None
    )
    folder = tmp_path / "none"
    bridge.use_dialogs(lambda *_, **__: (str(folder / "chat.json"),))
    with pytest.raises(OSError, match="none"):
        bridge.save_file("chat.json", "text")
    (tmp_path / "full").symlink_to("/dev/full")
    bridge.use_dialogs(lambda *_, **__: str(tmp_path / "chat.json"))
    (tmp_path / "chat.json").write_text("before")
    with pytest.raises(UnicodeEncodeError):
        bridge.save_file("chat.json", "\ud800")
    assert (tmp_path / "chat.json").read_text() == "before"


def test_a_right_click_has_a_menu(page: Page, screen: Screen) -> None:
    page.to_do.append({"select": "field"})
    x, y = page.answer("place")
    (window,) = screen.windows()
    # A window that is still getting the keyboard may lose keys: one presses them again.
    for _ in range(5):
        screen.do("mousemove", "--window", window, str(x + 30), str(y + 10), "click", "3")
        time.sleep(1)
        screen.press("Down", "Return")
        with contextlib.suppress(AssertionError):
            wait_until(lambda: page.has_reported("cut"), "not yet", 5)
            break
        screen.press("Escape")
    assert page.answer("cut") == "some words"


def test_a_page_is_printed(page: Page, screen: Screen, engine: str, tmp_path: Path) -> None:
    page.to_do.append({"print": True})
    if engine == "qt":
        file = tmp_path / "chat.pdf"
        choose(lambda: file.exists() and file.read_bytes().startswith(b"%PDF"), screen, file)
    else:
        # GTK's own dialog, which has "Print to File" as well.
        wait_for_dialog(screen)
        screen.press("Escape")
    page.call("zoom", 0)()
