"""One request on its connection, and the ways in which it is answered.

The app answers it, on a pool thread; or it leaves the answer to the pump, which needs none; or it
switches the connection to another protocol; or the server refuses it without the app. waitress's
parser and tasks do the HTTP.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec
from waitress.adjustments import Adjustments
from waitress.channel import ClientDisconnected
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error

from appliance.errors import ApplianceError, ShuttingDown
from appliance.http.errors import ErrorAnswer, ErrorObject, error_object, status_of
from appliance.http.stream_writer import PumpedStream, UpgradedStream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

    from appliance.http.channel import Channel

RETRY_AFTER_SECONDS = 5
"""When to ask a stopping server again; SDKs obey up to 60."""


class Request(HTTPRequestParser):
    """A request as it arrives."""

    path = ""  # waitress's log names it, also when the request never came to have one
    command: str  # type: ignore[assignment]  # the stub says bytes
    upgrade = False
    """It asks for a WebSocket: what follows on the connection may not be HTTP."""
    early = b""
    """What the client sent after such a request, without waiting for the answer."""

    def __init__(
        self, adj: Adjustments, admit: Callable[[Mapping[str, str]], ApplianceError | None]
    ) -> None:
        """`admit` says what is wrong with these headers."""
        super().__init__(adj)
        self._admit = admit

    def received(self, data: bytes) -> int:
        """Take what belongs to the request, and what comes right after an upgrade."""
        taken = super().received(data)
        if self.upgrade and self.completed and taken < len(data):
            self.early += data[taken:]
            return len(data)
        return taken

    def parse_header(self, header_plus: bytes) -> None:
        """Refuses also what has two lengths: one of them is for a proxy to be fooled by."""
        super().parse_header(header_plus)
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Content-Length and Transfer-Encoding exclude each other")
        if refused := self._admit(self.headers):
            # Complete as it is: nobody asks for the body.
            self.error = NotAdmitted(refused)
            self.completed = True
            self.expect_continue = False
        self.upgrade = (
            not self.error
            and (self.command, self.version) == ("GET", "1.1")
            and not (self.chunked or self.content_length)
            and self.headers.get("UPGRADE", "").lower() == "websocket"
            and "upgrade" in self.headers.get("CONNECTION", "").lower()
        )


class NotAdmitted(Error):
    """What a request is told that was refused for its headers."""

    def __init__(self, refused: ApplianceError) -> None:
        super().__init__(refused.message)
        self.code = status_of(refused)
        self.reason = HTTPStatus(self.code).phrase
        self.described = error_object(refused)


class Draining(Error):
    """What a request is told that the stopping server had not begun."""

    code = 503
    reason = "Service Unavailable"


class Refusal(ErrorTask):
    """An answer that the app has no part in, in the API's error shape. It ends the connection."""

    channel: "Channel"
    request: Request  # type: ignore[assignment]  # the stub says `Error`

    def execute(self) -> None:
        """Write the whole answer (pool thread)."""
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
                message = f"the body of a request may have {limits.body} bytes at most"
            case HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
                code = "headers_too_large"
                message = f"the headers of a request may have {limits.headers} bytes at most"
            case HTTPStatus.SERVICE_UNAVAILABLE:
                return error_object(ShuttingDown())
            case HTTPStatus.INTERNAL_SERVER_ERROR:
                kind, code = "server_error", "internal_error"
                message = "the appliance failed on this request; its log says why"
            case HTTPStatus.NOT_IMPLEMENTED:
                code, message = "not_implemented", error.body
            case _:
                code, message = "invalid_request", f"this is not HTTP: {error.body}"
        return ErrorObject(message=message, type=kind, param=None, code=code)


class Parked(BaseException):
    """Carries a request that has parked a stream past waitress's own end of requests.

    That end stops every `Exception`. The request stays the channel's current one, so that waitress
    neither starts the next one nor writes without the lock.
    """


class Run(WSGITask):
    """One request given to the app, on a pool thread."""

    channel: "Channel"
    request: Request  # type: ignore[assignment]  # the stub says `Error`
    _stream: PumpedStream | None = None
    _switch: tuple[UpgradedStream, Mapping[str, str]] | None = None

    def get_environment(self) -> "WSGIEnvironment":
        """WSGI's, and what this server offers besides."""
        environ = super().get_environment()
        environ["appliance.on_disconnect"] = self.channel.on_disconnect
        environ["appliance.park"] = self._park
        if self.request.upgrade:
            environ["appliance.upgrade"] = self._upgrade
        environ["appliance.local"] = self.channel.local
        environ["appliance.belongs_to"] = self.channel.belongs_to
        return environ

    def _park(self, stream: PumpedStream) -> None:
        """`environ["appliance.park"]`: let the pump write the body once the app has returned.

        The stream is closed unsent when the app fails, answers with a body of its own, or answers
        with anything but a 2xx.
        """
        if self._stream is not None:
            raise RuntimeError("a request can park one stream")
        self._stream = stream

    def _upgrade(self, stream: UpgradedStream, headers: Mapping[str, str]) -> None:
        """`environ["appliance.upgrade"]`: let `stream` have the connection once the app returned.

        `headers` stand in the 101 beside the app's own. Like a parked stream, it is closed unused
        when the app then fails or answers with anything but a 101.
        """
        self._park(stream)
        self._switch = (stream, headers)

    def service(self) -> None:
        """Run the app and write its answer, or as much of it as a parked stream leaves to do."""
        parked = False
        try:
            super().service()
        except Parked:
            parked = True
            raise
        finally:
            if not parked:
                self.channel.forget_callbacks()
                if self._stream is not None:
                    self._stream.close()

    def build_response_header(self) -> bytes:
        """While the server drains, a client is told not to send more, unless it has already."""
        if self.channel.loop.draining and len(self.channel.requests) == 1:
            self.set_close_on_finish()
        if self.request.upgrade and not self.status.startswith("101"):
            # Behind it may be frames, which are no requests.
            self.set_close_on_finish()
            self.channel.refused = True
        return super().build_response_header()

    def finish(self) -> None:
        """The app has returned: complete the answer, or leave it to the pump."""
        if self._stream is None or not self._can_stream():
            super().finish()
            return
        # Falcon declares an empty body where the app has set none.
        self.remove_content_length_header()
        self.content_length = None
        if self._switch:
            self.response_headers = [*self.response_headers, *self._switch[1].items()]
        self.write(b"")
        self.request.close()
        self.environ = None
        self.channel.parked = True
        outlet = RawOutlet(self) if self._switch else Outlet(self)
        wake = self.channel.loop.pump.park(self._stream, outlet)
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
        """The parked stream was written whole (pump)."""
        super().finish()


class Outlet:
    """The pump's way to one client: a `Sink`."""

    def __init__(self, run: Run) -> None:
        """`run` has written its head and has no pool thread any more."""
        self._run = run
        self._channel = run.channel

    @property
    def gone(self) -> bool:
        """The client has left."""
        return not self._channel.connected

    @property
    def backlog(self) -> int:
        """Bytes that wait for the client."""
        return self._channel.total_outbufs_len

    def write(self, data: bytes) -> None:
        """As a chunk, where the client's HTTP has them."""
        with suppress(ClientDisconnected):  # the next look at `gone` says so
            self._run.write(data)

    def end(self) -> None:
        """Complete the body; the connection closes when all of it is sent."""
        with suppress(ClientDisconnected):
            self._run.end()
        self._channel.release()

    def drop(self) -> None:
        """Cut the connection."""
        self._channel.release()
        self._channel.loop.call_soon(self._channel.handle_close)


class RawOutlet(Outlet):
    """The pump's way to a client that speaks another protocol than HTTP by now."""

    def write(self, data: bytes) -> None:
        """As it is."""
        with suppress(ClientDisconnected):
            self._channel.write_soon(data)

    def end(self) -> None:
        """All is said; what the client still sends is read and dropped before the end."""
        self._channel.refused = True
        self._channel.release()
