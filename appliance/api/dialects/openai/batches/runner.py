"""Answers the lines of batches, with low priority: through the same code that answers those.

Each line's result is stored before the next one begins. A line that was under way when the
appliance ended has none, and is begun once more.
"""

import contextvars
import io
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import falcon
import msgspec

from appliance.auth.keys.scopes import Caller
from appliance.engine.serving.low_priority import low_priority
from appliance.errors import ApplianceError, QueueFull, ShuttingDown, StoreError
from appliance.http.errors import error_object, make_error_object, status_of
from appliance.store.callers.batches import WINDOW_SECONDS, BatchBook, BatchLine, BatchState

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""Between two looks for work that nobody announced, and between two attempts."""


class LineResource(Protocol):
    """A resource that answers a request."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """With `resp.media`."""


class _Gone(Exception):
    """The line is not to be answered now."""


class BatchRunner:
    """Threads that each answer one line at a time. Any thread may call."""

    def __init__(self, book: BatchBook, *, threads: int) -> None:
        """`threads`: lines that are answered at a time."""
        self.book = book
        self._endpoints: Mapping[str, LineResource] = {}
        self._changed = threading.Condition()
        self._in_hand: dict[tuple[str, int], Callable[[], None]] = {}
        """What cancels each line."""
        self._cancelled: set[tuple[str, int]] = set()
        """Lines in hand whose answer is of no use."""
        self._last: dict[str, float] = {}
        """When a line of a batch was last begun: batches take turns."""
        self._open = False
        """A batch had not ended when it was last looked."""
        self._closing = False
        self._threads = [
            threading.Thread(target=self._run, name=f"batch {number}", daemon=True)
            for number in range(threads)
        ]

    def serve(self, endpoints: Mapping[str, LineResource]) -> None:
        """What answers the lines, by its path."""
        self._endpoints = endpoints

    def start(self) -> None:
        """Begin to answer."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """There may be more to do."""
        with self._changed:
            self._changed.notify_all()

    def cancel(self, batch_id: str) -> None:
        """A batch was cancelled: its lines under way end."""
        with self._changed:
            self._cancel([key for key in self._in_hand if key[0] == batch_id])

    def close(self) -> None:
        """Answer no more. The engines are still there."""
        with self._changed:
            self._closing = True
            self._cancel(list(self._in_hand))
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _cancel(self, keys: Sequence[tuple[str, int]]) -> None:
        self._cancelled.update(keys)
        for key in keys:
            self._in_hand[key]()
        self._changed.notify_all()

    # -- a thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            try:
                with self._changed:
                    found = self._take()
                    if not found:
                        # Without a batch there is nothing to look for until one is made.
                        if not self._closing:
                            self._changed.wait(LOOK_SECONDS if self._open else None)
                        continue
                self._answer(*found)
                continue
            except StoreError as ex:
                log.error("batches wait for the disk: %s", ex)
            except Exception:
                log.exception("a batch is stuck")
            with self._changed:
                if not self._closing:
                    self._changed.wait(LOOK_SECONDS)

    def _take(self) -> tuple[BatchState, BatchLine] | None:
        """A line to answer; batches that have none left end."""
        with self._changed:
            found = self.book.open_batches()
            self._open = bool(found)
            for state in sorted(found, key=lambda it: self._last.get(it.id, 0.0)):
                own = [number for id, number in self._in_hand if id == state.id]
                late = time.time() > state.created_at + WINDOW_SECONDS
                if state.status == "cancelling" or late:
                    if not own:
                        self._end(state, late=late and state.status != "cancelling")
                    continue
                line = self.book.next_line(state.id, own)
                if line:
                    self._in_hand[state.id, line.number] = lambda: None
                    self._last[state.id] = time.monotonic()
                    return state, line
                if not own:
                    self._end(state)
        return None

    def _end(self, state: BatchState, *, late: bool = False) -> None:
        self._last.pop(state.id, None)
        if late:
            self.book.end(state.id, "expired", _expired)
        else:
            cancelled = state.status == "cancelling"
            self.book.end(state.id, "cancelled" if cancelled else "completed")

    def _answer(self, state: BatchState, line: BatchLine) -> None:
        try:
            status, body = contextvars.copy_context().run(self._ask, state, line)
            if (line.batch_id, line.number) in self._cancelled:
                raise _Gone
            result = _result(line.custom_id, status, body)
            while not self._stored(line, result, ok=status < 400):
                with self._changed:
                    if self._closing:
                        return
                    self._changed.wait(LOOK_SECONDS)
        except _Gone:
            with self._changed:
                if not self._closing:
                    self._changed.wait(LOOK_SECONDS)
        finally:
            key = (line.batch_id, line.number)
            with self._changed:
                self._in_hand.pop(key, None)
                self._cancelled.discard(key)

    def _stored(self, line: BatchLine, result: bytes, *, ok: bool) -> bool:
        try:
            self.book.finish_line(line, result, ok=ok)
        except StoreError as ex:
            log.error("a result of a batch is not stored, which is tried again: %s", ex)
            return False
        return True

    def _ask(self, state: BatchState, line: BatchLine) -> tuple[int, Any]:
        """The status and the body of the answer.

        Raises:
            _Gone: there is none now.
        """
        req = falcon.Request(self._environment(line))
        req.context.caller = msgspec.convert(state.caller, Caller)
        resp = falcon.Response()
        try:
            with low_priority():
                self._endpoints[state.endpoint].on_post(req, resp)
        except (QueueFull, ShuttingDown) as ex:
            raise _Gone from ex
        except ApplianceError as ex:
            return status_of(ex), {"error": error_object(ex)}
        except falcon.HTTPError as ex:
            message = ex.description or ex.title or "the request cannot be answered"
            error = make_error_object(ex.status_code, message, None, "invalid_request")
            return ex.status_code, {"error": error}
        except Exception:
            log.exception("a line of a batch failed")
            error = make_error_object(
                500, "the appliance failed to answer this request", None, "internal_error"
            )
            return 500, {"error": error}
        return 200, resp.media

    def _environment(self, line: BatchLine) -> dict[str, Any]:
        """Of a request that no connection brought."""

        def on_disconnect(cancel: Callable[[], None]) -> None:
            key = (line.batch_id, line.number)
            with self._changed:
                self._in_hand[key] = cancel
                cancelled = key in self._cancelled
            if cancelled:
                cancel()

        return {
            "REQUEST_METHOD": "POST",
            "SCRIPT_NAME": "",
            "PATH_INFO": "/",
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": falcon.MEDIA_JSON,
            "CONTENT_LENGTH": str(len(line.body)),
            "wsgi.input": io.BytesIO(line.body),
            "wsgi.errors": io.StringIO(),
            "wsgi.url_scheme": "http",
            "appliance.on_disconnect": on_disconnect,
        }


def _result(custom_id: str, status: int, body: Any) -> bytes:
    id = secrets.token_hex(12)
    return msgspec.json.encode(
        {
            "id": f"batch_req_{id}",
            "custom_id": custom_id,
            "response": {"status_code": status, "request_id": f"req_{id}", "body": body},
            "error": None,
        }
    )


def _expired(custom_id: str) -> bytes:
    message = "This request could not be executed before the completion window expired."
    return msgspec.json.encode(
        {
            "id": f"batch_req_{secrets.token_hex(12)}",
            "custom_id": custom_id,
            "response": None,
            "error": {"code": "batch_expired", "message": message},
        }
    )
