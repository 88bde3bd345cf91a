"""The ways to show a page on this machine, and the order in which they are tried."""

import importlib.util
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from appliance.desktop import context_menu

BROWSER = "browser"

_SOFTWARE = {
    "gtk": {
        "WEBKIT_DISABLE_COMPOSITING_MODE": "1",
        "WEBKIT_DISABLE_DMABUF_RENDERER": "1",
        "LIBGL_ALWAYS_SOFTWARE": "1",
    },
    "qt": {
        "QTWEBENGINE_CHROMIUM_FLAGS": "--disable-gpu",
        "QT_QUICK_BACKEND": "software",
        "LIBGL_ALWAYS_SOFTWARE": "1",
    },
}
"""Variables with which an engine leaves the graphics driver alone."""


class Backend(msgspec.Struct, frozen=True):
    """One way to show the page: a webview engine, with or without the graphics driver."""

    engine: str
    software: bool = False

    @property
    def name(self) -> str:
        """How it is remembered, such as `gtk` or `qt, software`."""
        return f"{self.engine}, software" if self.software else self.engine

    @property
    def variables(self) -> dict[str, str]:
        """What its process needs in its environment."""
        return _SOFTWARE.get(self.engine, {}) if self.software else {}


def installed() -> list[str]:
    """The engines whose libraries are here, the better one first."""
    if sys.platform in {"darwin", "win32"}:
        return ["native"] if importlib.util.find_spec("webview") else []
    if importlib.util.find_spec("webview") is None:
        return []
    return [name for name, there in (("gtk", _has_gtk), ("qt", _has_qt)) if there()]


def fallback_order(
    engines: list[str], worked: str = "", failed: Sequence[str] = ()
) -> list[Backend]:
    """Every way to show a page by these engines; first what `worked` last time.

    None at all when that was the browser and no other engines are here than had `failed` then.
    """
    if worked == BROWSER and list(failed) == engines:
        return []
    backends = [
        Backend(engine, software)
        for engine in engines
        for software in ((False, True) if engine in _SOFTWARE else (False,))
    ]
    return sorted(backends, key=lambda backend: backend.name != worked)


def _has_gtk() -> bool:
    try:
        import gi

        gi.require_version("Gtk", "3.0")
        gi.require_version("WebKit2", "4.1")
    except (ImportError, ValueError):
        return False
    return True


def _has_qt() -> bool:
    try:
        return importlib.util.find_spec("PySide6.QtWebEngineWidgets") is not None and (
            importlib.util.find_spec("qtpy") is not None
        )
    except ImportError:
        return False


def warm_up(engine: str) -> None:
    """Import what the engine needs; for while there is something else to wait for.

    Raises:
        ImportError, ValueError: it is not here after all.
    """
    if engine == "gtk":
        import gi

        gi.require_version("Gtk", "3.0")
        gi.require_version("WebKit2", "4.1")
        from gi.repository import Gtk, WebKit2  # noqa: F401
    elif engine == "qt":
        from PySide6 import QtWebEngineWidgets  # noqa: F401


def set_zoom(engine: str, uid: str, factor: float) -> None:
    """Zoom the page of pywebview's window `uid`; from any thread."""
    if engine == "gtk":
        from gi.repository import GLib
        from webview.platforms import gtk

        view = gtk.BrowserView.instances[uid].webview
        GLib.idle_add(_once(lambda: view.set_zoom_level(factor)))
    elif engine == "qt":
        from PySide6.QtCore import QTimer
        from webview.platforms import qt

        view = qt.BrowserView.instances[uid].webview
        QTimer.singleShot(0, view, lambda: view.setZoomFactor(factor))


def complete(engine: str, uid: str) -> None:
    """Add what pywebview leaves out of its window `uid`: the menu of a right click, and with Qt
    printing, which makes a PDF; from any thread."""
    if engine == "gtk":
        from gi.repository import GLib
        from webview.platforms import gtk

        view = gtk.BrowserView.instances[uid].webview
        GLib.idle_add(_once(lambda: context_menu.allow_gtk(view)))
    elif engine == "qt":
        from PySide6.QtCore import QTimer
        from webview.platforms import qt

        view = qt.BrowserView.instances[uid].webview
        QTimer.singleShot(0, view, lambda: _complete_qt(view))


def _complete_qt(view: Any) -> None:
    context_menu.allow_qt(view)
    view.page().printRequested.connect(lambda: _save_pdf(view))


def _save_pdf(view: Any) -> None:
    from PySide6.QtWidgets import QFileDialog

    name = re.sub(r"[^\w .-]+", " ", view.title()).strip() or "chat"
    chosen, _ = QFileDialog.getSaveFileName(view, "", f"{name}.pdf", "PDF (*.pdf)")
    if chosen:
        view.page().printToPdf(chosen if chosen.lower().endswith(".pdf") else f"{chosen}.pdf")


def bring_forward(engine: str, uid: str) -> None:
    """Raise the window over others and give it the keyboard, beyond what pywebview does."""
    if engine == "qt":
        from PySide6.QtCore import QTimer
        from webview.platforms import qt

        window = qt.BrowserView.instances[uid]
        QTimer.singleShot(0, window, window.raise_)
        QTimer.singleShot(0, window, window.activateWindow)


def _once(action: Callable[[], Any]) -> Callable[[], bool]:
    """For GLib, which calls again what does not say no."""

    def run() -> bool:
        action()
        return False

    return run
