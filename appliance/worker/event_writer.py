"""The way from a worker back to the appliance."""

import os
import threading
from typing import BinaryIO

from appliance.engine import framing
from appliance.engine.protocol import Event


class Outbox:
    """The way back to the appliance; both threads write to it, whole frames."""

    def __init__(self, pipe: BinaryIO) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, events: list[Event]) -> None:
        """Write one frame; ends the process when nobody reads any more."""
        with self._lock:
            try:
                self._pipe.write(framing.encode(events))
                self._pipe.flush()
            except OSError:
                os._exit(0)
