"""`appliance`, whose window writes down what its page says. Run as a program.

The first argument is the file: a line of JSON for each text that was seen, the newest last.
"""

import json
import sys
import threading
import time
from pathlib import Path

from appliance import paths
from appliance.__main__ import main
from appliance.desktop.window import Window


def heard(file: Path) -> list[str]:
    """What the page has said so far."""
    if not file.exists():
        return []
    # Nobody reads a line that is not whole yet.
    whole = file.read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def listen(window: Window, file: Path) -> None:
    """For as long as the window is there."""
    last = None
    with file.open("a", encoding="utf-8") as out:
        while True:
            said = window._window.run_js("document.body.innerText")
            if said and said != last:
                out.write(json.dumps(said) + "\n")
                out.flush()
                last = said
            time.sleep(0.05)


def run() -> None:
    """Only the window is another one; it shows what it always does."""
    file = sys.argv.pop(1)
    paths.window_command = lambda: [sys.executable, __file__, file, "window"]
    show = Window.show

    def show_and_listen(self: Window) -> None:
        threading.Thread(target=listen, args=(self, Path(file)), daemon=True).start()
        show(self)

    Window.show = show_and_listen  # type: ignore[method-assign]
    main()


if __name__ == "__main__":
    run()
