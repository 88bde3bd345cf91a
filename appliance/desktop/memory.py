"""What a window remembers from one time to the next. Losing it loses nothing but convenience."""

import contextlib
import logging
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

FILE = "window.json"
"""In the data folder."""
SMALLEST = (480, 400)


class Remembered(msgspec.Struct, frozen=True):
    """Size and place in pixels of the screen, and what shows the page here."""

    width: int = 1180
    height: int = 820
    x: int | None = None
    y: int | None = None
    maximized: bool = False
    zoom: float = 1.0
    rung: str = ""
    """The name of the way to show the page that worked; empty: not known yet."""
    failed: tuple[str, ...] = ()
    """The engines that were here when only the browser was left, each of which had failed."""


def recall(file: Path) -> Remembered:
    """What was remembered; a file that cannot be read counts as none."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=Remembered)
    except (OSError, msgspec.DecodeError):
        return Remembered()
    return msgspec.structs.replace(
        found,
        width=max(found.width, SMALLEST[0]),
        height=max(found.height, SMALLEST[1]),
        zoom=min(max(found.zoom, 0.3), 3.0),
    )


def remember(file: Path, what: Remembered) -> None:
    """Whole or not at all; that it failed is only logged."""
    part = file.with_suffix(".part")
    try:
        part.write_bytes(msgspec.json.encode(what))
        part.replace(file)
    except OSError as ex:
        log.warning("the window's size and place are not remembered: %s", ex)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
