"""A task that is repeated in the background."""

import threading
from collections.abc import Callable


class PeriodicThread:
    """A thread between `start` and `close`; everything is for any thread."""

    def __init__(self, name: str, run_once: Callable[[], None], *, seconds: float) -> None:
        """
        Args:
            name: of the thread.
            run_once: what is done.
            seconds: from the start, and from the end of `run_once`, to the next.
        """
        self.seconds = seconds
        """May be changed, and holds from the next pause on."""
        self._run_once = run_once
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def stopping(self) -> bool:
        """`run_once` should come to an end."""
        return self._stopping.is_set()

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """No more after what runs now; returns at once."""
        self._stopping.set()

    def close(self, timeout: float | None = None) -> None:
        """Stop, and wait for what runs now. May be called again, and before `start`.

        Args:
            timeout: seconds that it waits at most; None: as long as it takes.
        """
        self.stop()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopping.wait(self.seconds):
            self._run_once()
