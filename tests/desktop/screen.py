"""A screen's contents, keyboard and mouse, by xdotool and ImageMagick."""

import os
import subprocess
import time
from pathlib import Path


class Screen:
    """One X display."""

    def __init__(self, display: str) -> None:
        self.display = display
        self.environment = {
            "DISPLAY": display,
            # Chromium's sandbox refuses root, which tests may be; people's windows keep it.
            "QTWEBENGINE_DISABLE_SANDBOX": "1",
            "GTK_USE_PORTAL": "0",
            "NO_AT_BRIDGE": "1",
        }

    def do(self, *arguments: str) -> str:
        """Run xdotool; its output, empty when it failed."""
        return subprocess.run(
            ["xdotool", *arguments],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        ).stdout.strip()

    def windows(self, name: str = "^Appliance$") -> list[str]:
        """Visible windows whose title fits."""
        return self.do("search", "--onlyvisible", "--name", name).split()

    def active(self) -> str:
        """The window with the keyboard focus."""
        return self.do("getactivewindow")

    def geometry(self, window: str) -> dict[str, int]:
        """X, Y, WIDTH and HEIGHT of what is inside the frame."""
        lines = self.do("getwindowgeometry", "--shell", window).splitlines()
        pairs = dict(line.split("=") for line in lines if "=" in line)
        return {key: int(pairs[key]) for key in ("X", "Y", "WIDTH", "HEIGHT")}

    def click(self, window: str, x: int, y: int) -> None:
        """At a place inside the window."""
        self.do("mousemove", "--window", window, str(x), str(y), "click", "1")

    def type(self, text: str) -> None:
        """Type into the window with the keyboard focus."""
        self.do("type", "--delay", "15", text)

    def press(self, *keys: str) -> None:
        """One after the other."""
        for key in keys:
            self.do("key", key)
            time.sleep(0.1)

    def picture(self, file: Path) -> Path:
        """The whole screen."""
        subprocess.run(
            ["import", "-window", "root", str(file)],
            env=os.environ | self.environment,
            check=True,
            timeout=60,
        )
        return file

    def colours(self, window: str) -> dict[str, int]:
        """Pixels of each colour inside a window, such as `#17181b`."""
        shown = subprocess.run(
            ["import", "-window", window, "-depth", "8", "-format", "%c", "histogram:info:-"],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        ).stdout
        found: dict[str, int] = {}
        for line in shown.splitlines():
            number, _, rest = line.strip().partition(":")
            colour = rest[rest.index("#") : rest.index("#") + 7].lower()
            found[colour] = found.get(colour, 0) + int(number)
        return found
