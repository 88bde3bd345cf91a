"""`appliance`, whose window records its page's text and presses buttons. Run as a program.

The first argument is the file: a line of JSON for each text that was seen, the newest last.
"""

import json
import sys
import threading
import time
from pathlib import Path

from appliance.__main__ import main
from appliance.config import paths
from appliance.desktop.window import Window
from tests.waiting import wait_until


def recorded_texts(file: Path) -> list[str]:
    """The texts that the page has shown so far."""
    if not file.exists():
        return []
    # An incomplete line is not read.
    whole = file.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def press(file: Path, label: str) -> None:
    """Have the page press the first button whose name begins like this, once there is one."""
    script = """(function look() {
      const all = [...document.querySelectorAll("button, [role=menuitem]")];
      const name = (it) => it.getAttribute("aria-label") ?? it.innerText.trim();
      const found = all.find((it) => name(it).startsWith(LABEL));
      if (found) found.click(); else setTimeout(look, 50);
    })()"""
    new, order = file.with_suffix(".new"), file.with_suffix(".js")
    new.write_text(script.replace("LABEL", json.dumps(label)), encoding="utf-8")
    new.rename(order)
    wait_until(lambda: not order.exists(), "the window does not respond")


def listen(window: Window, file: Path) -> None:
    """Record for as long as the window exists."""
    last = None
    with file.open("a", encoding="utf-8") as out:
        while True:
            text = window._window.run_js("document.body.innerText")
            if text and text != last:
                out.write(json.dumps(text) + "\n")
                out.flush()
                last = text
            order = file.with_suffix(".js")
            if order.exists():
                window._window.run_js(order.read_text(encoding="utf-8"))
                order.unlink()
            time.sleep(0.05)


def run() -> None:
    """Only the window's class is replaced; it shows the usual page."""
    file = sys.argv.pop(1)
    paths.window_command = lambda: [sys.executable, __file__, file, "window"]
    on_loaded = Window._on_loaded
    listening = threading.Event()

    def on_loaded_and_listen(self: Window) -> None:
        # Qt never answers a script that is run while one page replaces another.
        empty = not self._empty
        on_loaded(self)
        if not empty and not listening.is_set():
            listening.set()
            threading.Thread(target=listen, args=(self, Path(file)), daemon=True).start()

    Window._on_loaded = on_loaded_and_listen  # type: ignore[method-assign]
    main()


if __name__ == "__main__":
    run()
