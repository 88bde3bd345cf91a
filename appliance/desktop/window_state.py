"""The window's state between starts. Losing it is only an inconvenience."""

import logging
from pathlib import Path

import msgspec

from appliance.system.files import replace_file

log = logging.getLogger(__name__)

FILE = "window.json"
"""In the data folder."""
SMALLEST = (480, 400)


class WindowState(msgspec.Struct, frozen=True):
    """Size and position in pixels of the screen, and what shows the page here."""

    width: int = 1180
    height: int = 820
    x: int | None = None
    y: int | None = None
    maximized: bool = False
    zoom: float = 1.0
    backend: str = msgspec.field(name="rung", default="")
    """The name of what shows the page here; empty: not known yet."""
    failed: tuple[str, ...] = ()
    """The engines that were here when only the browser was left, each of which had failed."""


def load_state(file: Path) -> WindowState:
    """The state that was saved; a file that cannot be read counts as none."""
    try:
        found = msgspec.json.decode(file.read_bytes(), type=WindowState)
    except (OSError, msgspec.DecodeError):
        return WindowState()
    return msgspec.structs.replace(
        found,
        width=max(found.width, SMALLEST[0]),
        height=max(found.height, SMALLEST[1]),
        zoom=min(max(found.zoom, 0.3), 3.0),
    )


def save_state(file: Path, state: WindowState) -> None:
    """Whole or not at all; that it failed is only logged."""
    try:
        replace_file(file, msgspec.json.encode(state))
    except OSError as ex:
        log.warning("the window's size and place cannot be saved: %s", ex)
