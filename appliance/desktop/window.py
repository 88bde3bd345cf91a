"""The window process: pywebview on one engine, given an address and a token.

    appliance window ENGINE

The window is there, empty, before the service is: an engine takes its time, and so both start at
once. The main thread is the engine's; orders are read on a thread of their own. The process ends
when the window is closed or its stdin ends.
"""

import contextlib
import io
import json
import logging
import os
import queue
import sys
import threading
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import msgspec

from appliance.client.http import Client
from appliance.desktop import webview_backends
from appliance.desktop.bridge import Bridge, ClosingAnswer
from appliance.desktop.messages import (
    ComeForward,
    FromWindow,
    PageDrawn,
    Prepare,
    Show,
    WindowFailed,
    line,
    to_window,
)
from appliance.desktop.window_state import SMALLEST, load_state, save_state
from appliance.errors import ApplianceError

log = logging.getLogger(__name__)

ANSWER_SECONDS = 5.0
ASK_SECONDS = 3.0
"""What a page has to show its question in; then the system's dialog asks."""
LOOK_SECONDS = 0.5
"""From one look at the replies being written to the next, while the window is hidden."""
TITLE = "Appliance"
BACKGROUND = "#17181b"
EMPTY = """<!doctype html><meta name="color-scheme" content="light dark"><style>
html { background: #fdfdfb } @media (prefers-color-scheme: dark) { html { background: #17181b } }
</style>"""
"""In the page's own colours, so that nothing flashes before it is there."""
BRIDGE = Path(__file__).with_name("bridge.js")
ASK_TITLE = "A reply is being written"
ASK_TEXT = "Closing the window stops it. What is written so far is kept."


class Window:
    """One window, from its making to its end."""

    def __init__(self, engine: str, order: Prepare, orders: io.FileIO) -> None:
        """`orders`: where the next ones come from."""
        import webview

        self._engine = engine
        self._order = order
        self._orders = orders
        self._service: Client | None = None
        self._asks = False
        self._going = threading.Lock()
        self._address = ""
        """The page's address, until it has replaced the empty page."""
        self._empty = False
        """The empty page is loaded, and shown."""
        self._state_file = Path(order.state_file)
        self._state = load_state(self._state_file)
        self._closing = threading.Lock()
        self._may_close = False
        self._answers: queue.SimpleQueue[ClosingAnswer | None] = queue.SimpleQueue()
        """To whether to close; None: the window was closed again meanwhile."""
        self._came_forward = threading.Event()
        self._maximized = self._state.maximized
        self._bridge = Bridge(
            zoom=self._state.zoom,
            set_zoom=self._set_zoom,
            on_ready=self._ready,
            on_closing_answer=self._answers.put,
        )
        webview.settings["ALLOW_DOWNLOADS"] = False
        webview.settings["OPEN_EXTERNAL_LINKS_IN_BROWSER"] = True
        window: Any = webview.create_window(
            TITLE,
            html=EMPTY,
            js_api=self._bridge,
            width=self._state.width,
            height=self._state.height,
            min_size=SMALLEST,
            maximized=self._state.maximized,
            background_color=BACKGROUND,
            text_select=True,
            x=self._state.x,
            y=self._state.y,
        )
        assert window
        self._window = window
        # Its own way wraps everything in eval, which the page's content policy forbids.
        window.evaluate_js = lambda script, _callback=None: window.run_js(script)
        self._bridge.use_dialogs(window.create_file_dialog)
        window.events.loaded += self._on_loaded
        window.events.closing += self._on_closing
        window.events.maximized += lambda: self._set_maximized(True)
        window.events.restored += lambda: self._set_maximized(False)

    def show(self) -> None:
        """Until it is closed; on the main thread."""
        import webview

        threading.Thread(target=self._obey, name="orders", daemon=True).start()
        webview.start(
            gui=cast(Any, None if self._engine == "native" else self._engine),
            private_mode=False,
            storage_path=self._order.storage_folder,
            icon=self._order.icon or None,
        )

    # -- threads of pywebview ----------------------------------------------------------------------

    def _on_loaded(self) -> None:
        if not self._empty:
            self._empty = True
            webview_backends.complete(self._engine, self._window.uid)
            self._go()
            return
        if self._state.zoom != 1:
            self._set_zoom(self._bridge.zoom_factor)
        self._window.run_js(BRIDGE.read_text(encoding="utf-8"))

    def _ready(self) -> None:
        _send(PageDrawn())

    def _on_closing(self) -> bool:
        # The engine's thread: waiting here would deadlock, since only this thread can answer.
        if not self._may_close:
            threading.Thread(target=self._close, name="closing").start()
        return self._may_close

    def _close(self) -> None:
        if not self._closing.acquire(blocking=False):
            self._answers.put(None)
            return
        try:
            if self._service and self._asks and not self._end_replies(self._service):
                return
            self._save_state()
            self._may_close = True
            self._window.destroy()
        finally:
            self._closing.release()

    def _end_replies(self, service: Client) -> bool:
        """Wait for those that are being written, or stop them, as the person decides; false: the
        window is to stay."""
        busy = _busy_sessions(service)
        answer = self._ask() if busy else "stop"
        if answer == "finish":
            self._came_forward.clear()
            self._window.hide()
            while any(_is_answered(service, session) for session in busy):
                if self._came_forward.wait(LOOK_SECONDS):
                    return False
        elif answer == "stop":
            for session in busy:
                with contextlib.suppress(ApplianceError):
                    service.call("POST", f"/api/sessions/{session}/stop")
        return answer != "stay"

    def _ask(self) -> ClosingAnswer:
        """The page asks, in its own language; if it doesn't, or can't be answered, the system's
        dialog does."""
        while not self._answers.empty():
            self._answers.get()
        self._window.run_js("dispatchEvent(new CustomEvent('applianceclosing'))")
        with contextlib.suppress(queue.Empty):
            answer = self._answers.get(timeout=ASK_SECONDS)
            if answer == "asked":
                answer = self._answers.get()
            if answer:
                return answer
        return "stop" if self._window.create_confirmation_dialog(ASK_TITLE, ASK_TEXT) else "stay"

    def _save_state(self) -> None:
        # The launcher writes there too: which engine works.
        kept = load_state(self._state_file)
        if not self._maximized:
            kept = msgspec.structs.replace(
                kept,
                width=int(self._window.width),
                height=int(self._window.height),
                x=int(self._window.x),
                y=int(self._window.y),
            )
        kept = msgspec.structs.replace(
            kept, maximized=self._maximized, zoom=self._bridge.zoom_factor
        )
        save_state(self._state_file, kept)

    def _set_maximized(self, maximized: bool) -> None:
        self._maximized = maximized

    def _set_zoom(self, factor: float) -> None:
        webview_backends.set_zoom(self._engine, self._window.uid, factor)

    # -- the orders' thread ------------------------------------------------------------------------

    def _obey(self) -> None:
        while sent := self._orders.readline():
            order = to_window(sent)
            if isinstance(order, Show):
                self._show_page(order)
            elif isinstance(order, ComeForward):
                self._came_forward.set()
                self._window.restore()
                self._window.show()
                webview_backends.bring_forward(self._engine, self._window.uid)
        # The launcher is gone.
        self._may_close = True
        self._window.destroy()

    def _show_page(self, order: Show) -> None:
        self._service = Client(order.url, order.token, timeout=ANSWER_SECONDS)
        self._asks = order.asks_before_closing
        query = f"/?{urlencode({'token': order.token})}" if order.token else "/"
        self._address = order.url + query
        self._go()

    def _go(self) -> None:
        """To the page, as soon as it is known where that is and the engine is done with the empty
        one: whatever it still did would fall upon the next."""
        with self._going:
            if self._empty and self._address:
                # In the place of the empty page, so that there is no way back to that.
                self._window.run_js(f"location.replace({json.dumps(self._address)})")
                self._address = ""


def _busy_sessions(service: Client) -> list[str]:
    """Those whose reply is being written; none if there is no answer."""
    try:
        sessions = service.call("GET", "/api/sessions")["sessions"]
    except ApplianceError:
        return []
    return [one["id"] for one in sessions if one.get("live_message_id")]


def _is_answered(service: Client, session: str) -> bool:
    """Whether its reply is still being written; not if there is no answer."""
    with contextlib.suppress(ApplianceError):
        return bool(service.call("GET", f"/api/sessions/{session}").get("live_message_id"))
    return False


def _send(message: FromWindow) -> None:
    os.write(1, line(message))


def main() -> int:
    """Entry of the process. Returns the exit code: 1 if this engine shows nothing."""
    engine = sys.argv[2]
    # The bare descriptor: a thread that waits inside `sys.stdin` crashes the end of the process.
    orders = io.FileIO(0, closefd=False)
    try:
        webview_backends.warm_up(engine)
        order = to_window(orders.readline())
        assert isinstance(order, Prepare)
        Window(engine, order, orders).show()
    # Whatever a window library raises, the next engine is tried.
    except Exception as ex:  # noqa: BLE001
        _send(WindowFailed(f"{type(ex).__name__}: {ex}"))
        return 1
    return 0
