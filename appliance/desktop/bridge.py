"""The page's calls to the window, for what HTTP can't do; `bridge.js` is the page's side."""

import os
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from appliance.system.files import replace_file

LARGEST_FILE = 64 * 1024 * 1024
"""Bytes of a file that is read for an import."""
SCHEMES = {"http", "https", "mailto"}
ZOOM_STEP = 1.1
SMALLEST_ZOOM, LARGEST_ZOOM = 0.3, 3.0
ANY_FILES = ("All files (*.*)",)
JSON_FILES = ("Chats (*.json)", *ANY_FILES)


ClosingAnswer = Literal["asked", "finish", "stop", "stay"]
"""Of the page, to whether the window may close while a reply is being written: the person is being
asked; finish it, unseen, and close; stop it and close; stay open."""


class Bridge:
    """Its methods run on threads of pywebview. What they raise rejects the page's promise."""

    def __init__(
        self,
        *,
        zoom: float,
        set_zoom: Callable[[float], None],
        on_ready: Callable[[], None],
        on_closing_answer: Callable[[ClosingAnswer], None],
    ) -> None:
        self._zoom = zoom
        self._set_zoom = set_zoom
        self._on_ready = on_ready
        self._on_closing_answer = on_closing_answer
        self._dialog: Callable[..., Any] | None = None

    def __dir__(self) -> list[str]:
        # pywebview would make JavaScript of what it sees here, by eval.
        return []

    def use_dialogs(self, dialog: Callable[..., Any]) -> None:
        """`dialog`: `create_file_dialog` of the window, which is made after this."""
        self._dialog = dialog

    @property
    def zoom_factor(self) -> float:
        """1.0: as large as the page says."""
        return self._zoom

    def ready(self) -> None:
        """The page is drawn."""
        self._on_ready()

    def save_file(self, name: str, text: str) -> str | None:
        """Ask where, and write there whole or not at all: the path; None if the person declined.

        Raises:
            OSError: it cannot be written; what was there before is as it was.
        """
        types = JSON_FILES if name.endswith(".json") else ANY_FILES
        chosen = self._choose("SAVE", save_filename=Path(name).name, file_types=types)
        if chosen is None:
            return None
        # The name may be as long as it can be: no longer one stands beside it.
        partial = chosen.with_name(f".appliance-{os.getpid()}")
        replace_file(chosen, text.encode(), durable=True, partial=partial)
        return str(chosen)

    def open_file(self) -> dict[str, str] | None:
        """Ask which, and read it: `name` and `text`; None if the person declined.

        Raises:
            ValueError: it is too large or no text.
            OSError: it cannot be read.
        """
        chosen = self._choose("OPEN", file_types=JSON_FILES)
        if chosen is None:
            return None
        if chosen.stat().st_size > LARGEST_FILE:
            raise ValueError(f"{chosen.name} is larger than {LARGEST_FILE >> 20} MB.")
        try:
            return {"name": chosen.name, "text": chosen.read_text(encoding="utf-8")}
        except UnicodeDecodeError as ex:
            raise ValueError(f"{chosen.name} is not a text file.") from ex

    def answer_closing(self, answer: ClosingAnswer) -> None:
        """What became of the event `applianceclosing`."""
        if answer in get_args(ClosingAnswer):
            self._on_closing_answer(answer)

    def open_external(self, url: str) -> bool:
        """Open a page or write a mail outside; whether that could be done."""
        if urlsplit(url).scheme not in SCHEMES:
            return False
        return webbrowser.open(url)

    def zoom(self, step: int) -> float:
        """Larger, smaller, or (0) as the page says; the factor."""
        factor = self._zoom * ZOOM_STEP**step if step else 1.0
        self._zoom = min(max(factor, SMALLEST_ZOOM), LARGEST_ZOOM)
        self._set_zoom(self._zoom)
        return self._zoom

    def _choose(self, kind: str, **options: Any) -> Path | None:
        assert self._dialog
        from webview import FileDialog

        chosen = self._dialog(FileDialog[kind], **options)
        if not chosen:
            return None
        return Path(chosen if isinstance(chosen, str) else chosen[0])
