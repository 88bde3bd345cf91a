"""The window process: pywebview on one engine, given an address and a token.

    appliance window ENGINE

The window is there, empty, before the service is: an engine takes its time, and so both start at
once. The main thread is the engine's; orders are read on a thread of their own. The process ends
when the window is closed or its stdin ends.
"""

import io
import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlencode

import msgspec

from appliance.desktop import engines
from appliance.desktop.bridge import Bridge
from appliance.desktop.memory import SMALLEST, recall, remember
from appliance.desktop.messages import (
    ComeForward,
    Failed,
    FromWindow,
    Prepare,
    Ready,
    Show,
    line,
    to_window,
)
from appliance.desktop.service import Service

log = logging.getLogger(__name__)

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
        self._service: Service | None = None
        self._asks = False
        self._going = threading.Lock()
        self._address = ""
        """Of the page, until the empty one gives way to it."""
        self._empty = False
        """The empty page is loaded, and shown."""
        self._memory_file = Path(order.memory_file)
        self._remembered = recall(self._memory_file)
        self._closing = threading.Lock()
        self._may_close = False
        self._maximized = self._remembered.maximized
        self._bridge = Bridge(
            zoom=self._remembered.zoom, set_zoom=self._set_zoom, on_ready=self._ready
        )
        webview.settings["ALLOW_DOWNLOADS"] = False
        webview.settings["OPEN_EXTERNAL_LINKS_IN_BROWSER"] = True
        window: Any = webview.create_window(
            TITLE,
            html=EMPTY,
            js_api=self._bridge,
            width=self._remembered.width,
            height=self._remembered.height,
            min_size=SMALLEST,
            maximized=self._remembered.maximized,
            background_color=BACKGROUND,
            text_select=True,
            x=self._remembered.x,
            y=self._remembered.y,
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
            self._go()
            return
        if self._remembered.zoom != 1:
            self._set_zoom(self._bridge.zoom_factor)
        self._window.run_js(BRIDGE.read_text(encoding="utf-8"))

    def _ready(self) -> None:
        _say(Ready())

    def _on_closing(self) -> bool:
        # The engine's thread: whoever asks here waits for an answer that only this thread can give.
        if not self._may_close:
            threading.Thread(target=self._close, name="closing").start()
        return self._may_close

    def _close(self) -> None:
        if not self._closing.acquire(blocking=False):
            return
        try:
            if self._service and self._asks:
                busy = self._service.busy_sessions()
                if busy and not self._window.create_confirmation_dialog(ASK_TITLE, ASK_TEXT):
                    return
                for session in busy:
                    self._service.stop_reply(session)
            self._remember()
            self._may_close = True
            self._window.destroy()
        finally:
            self._closing.release()

    def _remember(self) -> None:
        # The launcher writes there too: which engine works.
        kept = recall(self._memory_file)
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
        remember(self._memory_file, kept)

    def _set_maximized(self, maximized: bool) -> None:
        self._maximized = maximized

    def _set_zoom(self, factor: float) -> None:
        engines.set_zoom(self._engine, self._window.uid, factor)

    # -- the orders' thread ------------------------------------------------------------------------

    def _obey(self) -> None:
        while said := self._orders.readline():
            order = to_window(said)
            if isinstance(order, Show):
                self._show_page(order)
            elif isinstance(order, ComeForward):
                self._window.restore()
                self._window.show()
                engines.bring_forward(self._engine, self._window.uid)
        # The launcher is gone.
        self._may_close = True
        self._window.destroy()

    def _show_page(self, order: Show) -> None:
        self._service = Service(order.url, order.token)
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


def _say(message: FromWindow) -> None:
    os.write(1, line(message))


def main() -> int:
    """Entry of the process. Returns the exit code: 1 if this engine shows nothing."""
    engine = sys.argv[2]
    # The bare descriptor: a thread that waits inside `sys.stdin` crashes the end of the process.
    orders = io.FileIO(0, closefd=False)
    try:
        engines.warm_up(engine)
        order = to_window(orders.readline())
        assert isinstance(order, Prepare)
        Window(engine, order, orders).show()
    # Whatever a window library raises, the next engine is tried.
    except Exception as ex:  # noqa: BLE001
        _say(Failed(f"{type(ex).__name__}: {ex}"))
        return 1
    return 0
