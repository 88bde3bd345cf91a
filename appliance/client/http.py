"""The HTTP client of a running service, for other programs on the same machine.

Proxies from the environment are not used.
"""

import http.client
import json
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from appliance.client import discovery
from appliance.errors import ApplianceError, Unavailable, from_code

if TYPE_CHECKING:
    from appliance.config.schema import Config

CONNECT_SECONDS = 5.0


class Response(NamedTuple):
    """What came back."""

    status: int
    content: bytes
    server: str = ""
    """What answered, by its own account."""


class Client:
    """One service. Every request has a connection of its own; any thread may call."""

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        timeout: float | None = None,
        still_there: Callable[[], bool] = lambda: True,
    ) -> None:
        """
        Args:
            url: such as `http://127.0.0.1:3000`.
            token: what lets this user in; empty: none is needed.
            timeout: seconds without a byte of an answer, after which a request fails; None: there
                may be any number, as while a model loads.
            still_there: asked with a connection, before anything is sent on it: whether the service
                is the one that was meant, and not another program that has its port by now.
        """
        self.url = url
        self.token = token
        self._timeout = timeout
        self._still_there = still_there

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> Response:
        """Whatever the service answers.

        Args:
            method: such as `GET`.
            path: below the service's address.
            body: is sent as JSON; None: nothing is.
            headers: beside those that every request has.
            limit: bytes of the answer, of which the rest is not read; None: all are.

        Raises:
            OSError: there was no answer, or it was not HTTP.
        """
        with self._answer(method, path, body, headers) as answer:
            server = answer.getheader("Server") or ""
            return Response(answer.status, answer.read(limit), server)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer's JSON; None if it has none.

        Raises:
            ApplianceError: the error that the service answers with; or it is gone.
        """
        try:
            answer = self.request(method, path, body)
        except OSError as ex:
            raise Unavailable(f"the service at {self.url} does not answer: {ex}") from ex
        return self._checked(answer)

    def stream(self, path: str, body: object) -> Iterator[dict[str, Any]]:
        """The data of server-sent events, up to `[DONE]`.

        Raises:
            ApplianceError: the service refused, failed in between, or is gone.
        """
        try:
            with self._answer("POST", path, body, None) as answer:
                if answer.status >= 400:
                    self._checked(Response(answer.status, answer.read()))
                for line in answer:
                    data = line.removeprefix(b"data:").strip()
                    if data == b"[DONE]":
                        return
                    if line.startswith(b"data:"):
                        event = json.loads(data)
                        if error := _error_of(event):
                            raise error
                        yield event
        except OSError as ex:
            raise Unavailable(f"the service at {self.url} is gone: {ex}") from ex
        raise Unavailable(f"the service at {self.url} is gone: its answer has no end")

    def is_appliance(self) -> bool:
        """Whether an appliance answers there."""
        try:
            answer = self.request("GET", "/health")
            health = self._checked(answer)
        except (OSError, ApplianceError):
            return False
        return (
            answer.server == "appliance"
            and isinstance(health, dict)
            and health.get("status") == "ok"
        )

    @contextmanager
    def _answer(
        self, method: str, path: str, body: object, headers: Mapping[str, str] | None
    ) -> Iterator[http.client.HTTPResponse]:
        address = urllib.parse.urlsplit(self.url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=CONNECT_SECONDS
        )
        all_headers = {"Content-Type": "application/json", **(headers or {})}
        if self.token:
            all_headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection.connect()
            if not self._still_there():
                raise ConnectionError("it has ended, and another program has its port")
            connection.sock.settimeout(self._timeout)
            content = None if body is None else json.dumps(body).encode()
            connection.request(method, path, content, all_headers)
            yield connection.getresponse()
        except http.client.HTTPException as ex:
            raise ConnectionError(str(ex) or type(ex).__name__) from ex
        finally:
            connection.close()

    def _checked(self, answer: Response) -> Any:
        """The JSON of an answer; that of a refusal, too, where it says more than an error, as
        `/readiness` does."""
        refused = answer.status >= 400
        try:
            content = json.loads(answer.content) if answer.content or refused else None
            error = _error_of(content) if refused else None
        except (ValueError, LookupError, TypeError) as ex:
            raise Unavailable(f"the service at {self.url} answers {answer.status}") from ex
        if error:
            raise error
        return content


def _error_of(event: Any) -> ApplianceError | None:
    """The error that an answer or an event carries."""
    if isinstance(event, dict) and event.get("error"):
        error = event["error"]
        return from_code(error["code"], error["message"], error.get("param"))
    return None


def connect(config: "Config") -> Client | None:
    """The service that runs with this configuration's data; None: none does."""
    from appliance.config import paths

    return client_of(paths.data_dir(config))


def client_of(folder: Path, *, timeout: float | None = None) -> Client | None:
    """The service that runs on this data folder, for as long as it does; None: none does.

    `timeout`: see `Client`.
    """
    service = discovery.find_service(folder)
    if service is None:
        return None
    still_there = partial(discovery.still_runs, folder, service)
    return Client(service.url, service.token, timeout=timeout, still_there=still_there)


def encoded(model: msgspec.Struct) -> Any:
    """As the service would send it."""
    return msgspec.json.decode(msgspec.json.encode(model))
