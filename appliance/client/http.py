"""A running service, asked over HTTP."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from appliance.client import discovery
from appliance.config.schema import Config
from appliance.errors import Unavailable, from_code

if TYPE_CHECKING:
    import httpx2

CONNECT_SECONDS = 5.0


class Client:
    """One service. What it refuses is raised as the error that it is."""

    def __init__(self, service: discovery.Service) -> None:
        import httpx2

        headers = {"Authorization": f"Bearer {service.token}"} if service.token else {}
        self._http = httpx2.Client(
            base_url=service.url,
            headers=headers,
            # A model may take minutes to load, and to answer.
            timeout=httpx2.Timeout(None, connect=CONNECT_SECONDS),
            trust_env=False,  # a proxy has no business between two programs of one machine
        )
        self._url = service.url

    def call(self, method: str, path: str, body: object = None) -> Any:
        """The answer's JSON; None if it has none.

        Raises:
            ApplianceError: the service refused, or is gone.
        """
        import httpx2

        try:
            answer = self._http.request(method, path, json=body)
        except httpx2.HTTPError as ex:
            raise Unavailable(f"the service at {self._url} does not answer: {ex}") from ex
        self._check(answer)
        return answer.json() if answer.content else None

    def stream(self, path: str, body: object) -> Iterator[dict[str, Any]]:
        """The data of server-sent events, up to `[DONE]`.

        Raises:
            ApplianceError: the service refused, failed in between, or is gone.
        """
        import httpx2

        try:
            with self._http.stream("POST", path, json=body) as answer:
                if answer.status_code >= 400:
                    answer.read()
                self._check(answer)
                for line in answer.iter_lines():
                    data = line.removeprefix("data:").strip()
                    if line.startswith("data:") and data != "[DONE]":
                        event = json.loads(data)
                        _check_event(event)
                        yield event
        except httpx2.HTTPError as ex:
            raise Unavailable(f"the service at {self._url} is gone: {ex}") from ex

    def _check(self, answer: "httpx2.Response") -> None:
        if answer.status_code < 400:
            return
        try:
            _check_event(answer.json())
        except (ValueError, LookupError, TypeError) as ex:
            raise Unavailable(f"the service at {self._url} answers {answer.status_code}") from ex


def _check_event(event: Any) -> None:
    if isinstance(event, dict) and event.get("error"):
        error = event["error"]
        raise from_code(error["code"], error["message"], error.get("param"))


def connect(config: Config) -> Client | None:
    """The service that runs with this configuration's data; None: none does."""
    from appliance.config import paths

    service = discovery.find(paths.data_dir(config))
    return Client(service) if service else None


def encoded(model: msgspec.Struct) -> Any:
    """As the service would say it."""
    return msgspec.json.decode(msgspec.json.encode(model))
