"""One request on its connection, and the ways in which it is answered.

The app answers it on a pool thread; or it leaves the body to the stream writer, which needs none;
or it switches the connection to another protocol; or the server refuses it without the app.
waitress's parser and tasks do the HTTP.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from waitress.adjustments import Adjustments
from waitress.channel import ClientDisconnected
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import FixedStreamReceiver
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error

from appliance.errors import ApplianceError, ShuttingDown, StoreFull
from appliance.http.errors import ErrorAnswer, ErrorObject, error_object, status_of
from appliance.http.event_loop import EventLoop
from appliance.http.stream_writer import ResponseStream, UpgradedStream
from appliance.http.uploads import UploadBuffer, Uploads

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

RETRY_AFTER_SECONDS = 5
"""When to try again while the server stops; SDKs honor up to 60."""


class HttpRequest(HTTPRequestParser):
    """A request as it arrives."""

    path = ""  # waitress logs it, even if the request never got one
    command: str  # type: ignore[assignment]  # the stub says bytes
    query = ""
    upgrade = False
    """It asks for a WebSocket: what follows on the connection may not be HTTP."""
    early = b""
    """What the client sent after such a request without waiting for the response."""

    def __init__(
        self,
        adj: Adjustments,
        admit: Callable[[str, Mapping[str, str]], ApplianceError | None],
        uploads: Callable[["HttpRequest"], Uploads | None] = lambda _: None,
    ) -> None:
        """
        Args:
            adj: limits.
            admit: returns what is wrong with this method and these headers, if anything.
            uploads: returns where a request with a large body belongs; None: it may have none.
        """
        super().__init__(adj)
        self._admit = admit
        self._find_uploads = uploads
        self.uploads: Uploads | None = None
        """Where it belongs if its body is on the disk."""

    @property
    def held(self) -> int:
        """Bytes of its body in memory."""
        return 0 if self.uploads else self.body_bytes_received

    def received(self, data: bytes) -> int:
        """Consume what belongs to the request, and what comes right after an upgrade."""
        try:
            taken = super().received(data)
        except OSError as ex:  # its body goes to the disk
            self.error = NotAdmitted(StoreFull(f"The file can't be kept: {ex.strerror}"))
            self.completed = True
            return len(data)
        if self.upgrade and self.completed and taken < len(data):
            self.early += data[taken:]
            return len(data)
        return taken

    def close(self) -> None:
        """The body is not needed any more."""
        super().close()
        self.body_bytes_received = 0
        if self.uploads:
            self.uploads.end(self)

    def parse_header(self, header_plus: bytes) -> None:
        """Also refuse two lengths in one request, which is how proxies are fooled."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other")
        if refused := self._admit(self.command, self.headers):
            # Complete as it is: the body is not read.
            self.error = NotAdmitted(refused)
            self.completed = True
            self.expect_continue = False
        elif isinstance(self.body_rcv, FixedStreamReceiver) and (
            uploads := self._find_uploads(self)
        ):
            self._begin_upload(uploads)
        self.upgrade = (
            not self.error
            and (self.command, self.version) == ("GET", "1.1")
            and not (self.chunked or self.content_length)
            and self.headers.get("UPGRADE", "").lower() == "websocket"
            and "upgrade" in self.headers.get("CONNECTION", "").lower()
        )

    def _begin_upload(self, uploads: Uploads) -> None:
        assert isinstance(self.body_rcv, FixedStreamReceiver)
        self.adj = uploads.adjustments
        if self.content_length > uploads.limits.body:
            return  # waitress refuses it
        if refused := uploads.begin(self, self.content_length):
            self.error = NotAdmitted(refused)
            self.completed = True
            self.expect_continue = False
            return
        self.uploads = uploads
        body: Any = UploadBuffer(uploads.limits.folder)  # the stub wants waitress's own class
        self.body_rcv.buf = body


class NotAdmitted(Error):
    """Why a request was refused for its headers."""

    def __init__(self, refused: ApplianceError) -> None:
        super().__init__(refused.message)
        self.code = status_of(refused)
        self.reason = HTTPStatus(self.code).phrase
        self.described = error_object(refused)


class Draining(Error):
    """Why the stopping server refuses a request that it has not begun."""

    code = 503
    reason = "Service Unavailable"


class ClientConnection(Protocol):
    """What a request needs of its connection; see `channel.Channel`."""

    loop: EventLoop
    local: tuple[str, int]
    requests: list[HttpRequest]
    parked: bool
    refused: bool
    connected: bool
    total_outbufs_len: int

    def on_disconnect(self, callback: Callable[[], None]) -> None: ...
    def forget_callbacks(self) -> None: ...
    def set_owner(self, owner: str) -> None: ...
    def switch(self, stream: UpgradedStream, early: bytes) -> None: ...
    def write_soon(self, data: bytes) -> int: ...
    def release(self) -> None: ...
    def handle_close(self) -> None: ...


class ErrorResponse(ErrorTask):
    """A refusal by the server itself, in the API's error format. It ends the connection."""

    channel: ClientConnection  # type: ignore[assignment]  # the stub says waitress's own class
    request: HttpRequest  # type: ignore[assignment]  # the stub says `Error`

    def execute(self) -> None:
        """Write the whole response (pool thread)."""
        error = self.request.error
        assert error is not None
        body = msgspec.json.encode(ErrorAnswer(self._describe(error)))
        self.status = f"{error.code} {error.reason}"
        self.response_headers = [("Content-Type", "application/json")]
        if isinstance(error, Draining):
            self.response_headers.append(("Retry-After", str(RETRY_AFTER_SECONDS)))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.refused = True
        self.write(body)

    def _describe(self, error: Error) -> ErrorObject:
        if isinstance(error, NotAdmitted):
            return error.described
        limits = self.channel.loop.limits
        kind = "invalid_request_error"
        match error.code:
            case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                code = "request_too_large"
                most = self.request.adj.max_request_body_size - 1
                message = f"the body of this request may have at most {most} bytes"
            case HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                code = "headers_too_large"
                message = f"the headers of a request may have at most {limits.headers} bytes"
            case HTTPStatus.SERVICE_UNAVAILABLE:
                return error_object(ShuttingDown())
            case HTTPStatus.INTERNAL_SERVER_ERROR:
                kind, code = "server_error", "internal_error"
                message = "the appliance failed to answer this request; its log says why"
            case HTTPStatus.NOT_IMPLEMENTED:
                code, message = "not_implemented", error.body
            case _:
                code, message = "invalid_request", f"this is not HTTP: {error.body}"
        return ErrorObject(message=message, type=kind, param=None, code=code)


class Parked(BaseException):
    """Carries a request that has parked its stream past the code in waitress that ends requests.

    That code catches every `Exception`. The request stays the channel's current one, so that
    waitress neither starts the next one nor writes without the lock.
    """


class AppTask(WSGITask):
    """One request that the app answers, on a pool thread."""

    channel: ClientConnection  # type: ignore[assignment]  # the stub says waitress's own class
    request: HttpRequest  # type: ignore[assignment]  # the stub says `Error`
    _stream: ResponseStream | None = None
    _switch: tuple[UpgradedStream, Mapping[str, str]] | None = None
    _is_heavy = False

    def get_environment(self) -> "WSGIEnvironment":
        """WSGI's environment, and the functions that this server adds."""
        environ = super().get_environment()
        environ["appliance.on_disconnect"] = self.channel.on_disconnect
        environ["appliance.park"] = self._park
        if self.request.upgrade:
            environ["appliance.upgrade"] = self._upgrade
        environ["appliance.local"] = self.channel.local
        environ["appliance.set_owner"] = self.channel.set_owner
        environ["appliance.heavy"] = self._wait_for_others
        return environ

    def _wait_for_others(self) -> None:
        """`environ["appliance.heavy"]`: the answer may be large; wait until few others are made.

        A client that never reads costs what its answer takes, and not what making it does.
        """
        if not self._is_heavy:
            self.channel.loop.heavy.acquire()
            self._is_heavy = True

    def _park(self, stream: ResponseStream) -> None:
        """`environ["appliance.park"]`: the stream is the body; it is written once the app returns.

        It is closed unsent if the app fails, has a body of its own, or responds with anything but a
        2xx.
        """
        if self._stream is not None:
            raise RuntimeError("a request can park only one stream")
        self._stream = stream

    def _upgrade(self, stream: UpgradedStream, headers: Mapping[str, str]) -> None:
        """`environ["appliance.upgrade"]`: `stream` owns the connection once the app returns.

        `headers` are added to those of the app's 101. Like a parked stream, it is closed unused if
        the app then fails or responds with anything but a 101.
        """
        self._park(stream)
        self._switch = (stream, headers)

    def service(self) -> None:
        """Run the app and write its response, or only the head if a stream was parked."""
        parked = False
        try:
            super().service()
        except Parked:
            parked = True
            raise
        finally:
            if self._is_heavy:
                self.channel.loop.heavy.release()
            if not parked:
                self.channel.forget_callbacks()
                if self._stream is not None:
                    self._stream.close()

    def build_response_header(self) -> bytes:
        """While the server drains, ask the client to send no more, unless it already has."""
        if self.channel.loop.draining and len(self.channel.requests) == 1:
            self.set_close_on_finish()
        if self.request.upgrade and not self.status.startswith("101"):
            # Frames may follow it, which are not requests.
            self.set_close_on_finish()
            self.channel.refused = True
        return super().build_response_header()

    def finish(self) -> None:
        """The app has returned: complete the response, or leave it to the stream writer."""
        if self._stream is None or not self._can_stream():
            super().finish()
            return
        # Falcon declares an empty body if the app has set none.
        self.remove_content_length_header()
        self.content_length = None
        if self._switch:
            self.response_headers = [*self.response_headers, *self._switch[1].items()]
        self.write(b"")
        self.request.close()
        self.environ = None
        self.channel.parked = True
        writer = UpgradedWriter(self) if self._switch else ResponseWriter(self)
        wake = self.channel.loop.stream_writer.add(self._stream, writer)
        self.channel.on_disconnect(wake)
        if self._switch:
            self.channel.switch(self._switch[0], self.request.early)
        raise Parked

    def _can_stream(self) -> bool:
        if self._switch:
            return self.status.startswith("101") and not self.wrote_header
        return (
            self.status.startswith("2")
            and self.has_body
            and not self.wrote_header
            and self.request.command != "HEAD"
        )

    def end(self) -> None:
        """The whole parked stream was written (stream writer)."""
        super().finish()


class ResponseWriter:
    """Writes a response's body to its client; a `ClientWriter`."""

    def __init__(self, task: AppTask) -> None:
        """`task` has written the head and given its pool thread back."""
        self._task = task
        self._channel = task.channel

    @property
    def gone(self) -> bool:
        """The client has left."""
        return not self._channel.connected

    @property
    def backlog(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._channel.total_outbufs_len

    def write(self, data: bytes) -> None:
        """Send data, as a chunk if the client's version of HTTP has them."""
        with suppress(ClientDisconnected):  # `gone` says so from now on
            self._task.write(data)

    def end(self) -> None:
        """Complete the body; the connection closes once all of it is sent."""
        with suppress(ClientDisconnected):
            self._task.end()
        self._channel.release()

    def drop(self) -> None:
        """Cut the connection."""
        self._channel.release()
        self._channel.loop.call_soon(self._channel.handle_close)


class UpgradedWriter(ResponseWriter):
    """Writes to a client whose connection is no longer HTTP."""

    def write(self, data: bytes) -> None:
        """Send data as it is."""
        with suppress(ClientDisconnected):
            self._channel.write_soon(data)

    def end(self) -> None:
        """Nothing follows; what the client still sends is read and discarded before the end."""
        self._channel.refused = True
        self._channel.release()
