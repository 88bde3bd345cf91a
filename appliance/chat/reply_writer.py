"""All replies in flight, and how they get stored as they grow.

One writer thread stores all of them, in one transaction twice a second, and each once more when it
has ended.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable

from appliance.chat.live_reply import LiveReply
from appliance.errors import ApplianceError, NotFound, StoreError
from appliance.store.sessions import Message, Sessions

log = logging.getLogger(__name__)

STORE_INTERVAL = 0.5
"""Seconds between two writes of growing replies."""


class ReplyWriter:
    """All replies in flight, and the thread that stores them."""

    def __init__(self, sessions: Sessions, on_idle: Callable[[], object] = lambda: None) -> None:
        """`on_idle` is called when a reply was stored and no other is being written."""
        self._sessions = sessions
        self._on_idle = on_idle
        self._unsaved: list[LiveReply] = []
        self._lock = threading.Lock()
        self._replies: dict[str, LiveReply] = {}
        self._ended: queue.SimpleQueue[LiveReply | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="replies", daemon=True)

    def start(self) -> None:
        """Start the writer."""
        self._thread.start()

    def close(self) -> None:
        """Store what there is and stop the writer. The engines are closed by then."""
        self._ended.put(None)
        self._thread.join()

    @property
    def busy(self) -> bool:
        """Something is being written."""
        return bool(self._replies)

    def begin(self, user: Message, reply: Message) -> LiveReply:
        """A reply that has just been stored as streaming."""
        live = LiveReply(user, reply, self._ended.put)
        with self._lock:
            self._replies[reply.session_id] = live
        return live

    def of_session(self, session_id: str) -> LiveReply:
        """The reply that is being written in a session.

        Raises:
            NotFound: there is none.
        """
        with self._lock:
            live = self._replies.get(session_id)
        if live is None:
            raise NotFound("no reply is being written in this session")
        return live

    def check_saved(self, session_id: str) -> None:
        """Before a session goes on: a reply in it that has ended is stored.

        Raises:
            StoreError, StoreFull: it still cannot be.
        """
        with self._lock:
            live = self._replies.get(session_id)
        if live is not None and live in self._unsaved:
            live.store(self._sessions)
            self._forget(live)

    def _write(self) -> None:
        due = time.monotonic() + STORE_INTERVAL
        while True:
            # First: while replies end all the time, others must not wait to be stored.
            if time.monotonic() >= due:
                self._grow()
                self._unsaved = [live for live in self._unsaved if not self._finish(live)]
                due = time.monotonic() + STORE_INTERVAL
            try:
                ended = self._ended.get(timeout=max(0.0, due - time.monotonic()))
            except queue.Empty:
                continue
            if ended is None:
                self._grow()
                for live in self._unsaved:
                    self._finish(live)
                return
            if not self._finish(ended):
                self._unsaved = [*self._unsaved, ended]
            elif not self._replies:
                self._on_idle()

    def _finish(self, live: LiveReply) -> bool:
        """Whether there is nothing left to do for this reply."""
        try:
            live.store(self._sessions)
        except StoreError as ex:
            log.error("a reply could not be stored, which is tried again: %s", ex)
            return False
        except Exception:
            log.exception("reply %s could not be stored", live.reply.id)
        self._forget(live)
        return True

    def _forget(self, live: LiveReply) -> None:
        with self._lock:
            if self._replies.get(live.reply.session_id) is live:
                del self._replies[live.reply.session_id]

    def _grow(self) -> None:
        with self._lock:
            lives = list(self._replies.values())
        if not lives:
            return
        try:
            self._sessions.grow_replies({live.reply.id: live.text_so_far for live in lives})
        except ApplianceError as ex:
            log.error("growing replies could not be stored, which is tried again: %s", ex)
