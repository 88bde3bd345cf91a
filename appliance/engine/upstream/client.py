"""An upstream's HTTP side: the official `openai` client, and its streams as typed parts.

`openai` costs some 25 MB and a second or more to import, so that happens at the first use and not
with this module. Nothing that it finds in the environment (keys, organisations, headers, proxies)
is sent: a request carries the headers of `_HEADERS` and the key that was handed in.
"""

import logging
import struct
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from appliance.engine.upstream.chunks import Chunk, ChunkReader, ReplyAborted
from appliance.engine.upstream.connection import UpstreamConnection
from appliance.engine.upstream.errors import ErrorExplainer
from appliance.engine.upstream.request_body import UpstreamFailure
from appliance.errors import ConfigError, ModelLoadFailed, RequestError

if TYPE_CHECKING:
    import httpx2
    import openai

CONNECT_RETRIES = 2
"""After a connection that could not be made; what was sent once is never sent again."""
CHECK_SECONDS = 10.0
"""For the list of models."""

_AS_PROMPT = {"add_special": True, "parse_special": True}
_HEADERS = ("host", "accept", "content-type", "content-length", "user-agent")


class _Meta(msgspec.Struct, frozen=True):
    """llama-server's."""

    n_ctx: int | None = None
    n_ctx_train: int | None = None
    n_params: int | None = None
    size: int | None = None


class ModelCard(msgspec.Struct, frozen=True):
    """One entry of `GET /models`; everything but `id` is an addition of some server."""

    id: str
    aliases: list[str] = []
    max_model_len: int | None = None
    meta: _Meta = _Meta()

    @property
    def n_ctx(self) -> int | None:
        """Tokens that one sequence may span."""
        return self.max_model_len or self.meta.n_ctx or self.meta.n_ctx_train


class _Models(msgspec.Struct, frozen=True):
    data: list[ModelCard]


class _Vector(msgspec.Struct, frozen=True):
    index: int
    embedding: list[float]


class _VectorUsage(msgspec.Struct, frozen=True):
    prompt_tokens: int = 0


class Vectors(msgspec.Struct, frozen=True):
    """What `POST /embeddings` answers."""

    data: list[_Vector]
    usage: _VectorUsage = _VectorUsage()

    def packed(self) -> list[bytes]:
        """See `protocol.Embedded`."""
        ordered = sorted(self.data, key=lambda entry: entry.index)
        return [struct.pack(f"<{len(e.embedding)}f", *e.embedding) for e in ordered]


class UpstreamClient:
    """One model of one OpenAI-compatible server. Thread-safe; every call blocks its thread."""

    def __init__(
        self,
        url: str,
        model: str,
        api_key: str | None,
        *,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        """See `UpstreamEngine`.

        Raises:
            ConfigError: `url` is no http(s) address, or has a password in it.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ConfigError(f"upstream: not an address such as https://host/v1: {parts.hostname}")
        if parts.username is not None or parts.password is not None:
            raise ConfigError("upstream: the address has a password in it; there is a key for that")
        self.address = url.rstrip("/")
        self._model = model
        self._api_key = api_key
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._explainer = ErrorExplainer(self.address, model, api_key)
        self._lock = threading.Lock()
        self._client: openai.OpenAI | None = None
        self._may_count = True
        """It is not known to have no route that counts tokens."""
        self._current = threading.local()

    def card(self, connection: UpstreamConnection) -> ModelCard:
        """The upstream's entry for the model.

        Raises:
            UpstreamFailure: it did not answer, or does not have it.
        """
        with self._explained(connection):
            found = self._openai().get(
                "/models", cast_to=object, options={"timeout": self._timeout(CHECK_SECONDS)}
            )
            try:
                cards = msgspec.convert(found, _Models).data
            except msgspec.ValidationError:
                raise self._explainer.not_openai() from None
        for card in cards:
            if self._model in (card.id, *card.aliases):
                return card
        raise self._explainer.no_model([card.id for card in cards])

    def stream(
        self,
        path: str,
        body: Mapping[str, Any],
        connection: UpstreamConnection,
        *,
        parse_output: bool,
    ) -> Generator[Chunk]:
        """The reply to `body`, chunk by chunk; one at least. `parse_output`: see `ChunkReader`.

        Raises:
            UpstreamFailure: there is none, or it broke off.
        """
        import openai

        taken = False
        reader = ChunkReader(parse_output=parse_output)
        with (
            self._explained(connection),
            self._openai().post(
                path, cast_to=object, body=body, stream=True, stream_cls=openai.Stream[object]
            ) as chunks,
        ):
            for chunk in chunks:
                taken = True
                yield reader.read(chunk)
        if not taken:
            raise self._explainer.not_openai()

    def embed(
        self, inputs: list[str | list[int]], connection: UpstreamConnection, **extra: Any
    ) -> Vectors:
        """The vectors of the inputs.

        Raises:
            UpstreamFailure: there are none.
        """
        body = {"model": self._model, "input": inputs, "encoding_format": "float", **extra}
        with self._explained(connection):
            found = self._openai().post("/embeddings", cast_to=object, body=body)
            try:
                vectors = msgspec.convert(found, Vectors)
            except msgspec.ValidationError:
                raise self._explainer.not_openai() from None
        if sorted(entry.index for entry in vectors.data) != list(range(len(inputs))):
            raise self._explainer.not_openai()
        return vectors

    def count(self, prompt: Mapping[str, Any], connection: UpstreamConnection) -> int | None:
        """Tokens of a chat's prompt; None: the upstream has no route that counts them.

        `prompt`: its messages, and what else decides of it.
        """
        if not self._may_count:
            return None
        try:
            found = self._ask("tokenize", prompt, connection).get("count")
            if isinstance(found, int):
                return found  # vLLM's
            # llama-server's
            shown = self._ask("apply-template", prompt, connection).get("prompt")
            if isinstance(shown, str):
                body = {"model": self._model, "content": shown, **_AS_PROMPT}
                tokens = self._ask("tokenize", body, connection).get("tokens")
                return len(tokens) if isinstance(tokens, list) else None
        except UpstreamFailure:
            return None
        self._may_count = False
        return None

    def _ask(
        self, path: str, body: Mapping[str, Any], connection: UpstreamConnection
    ) -> dict[str, Any]:
        """The answer of a route beside OpenAI's; empty: there is none, or not to this.

        Raises:
            UpstreamFailure: the upstream did not answer.
        """
        address = f"{self.address.removesuffix('/v1')}/{path}"
        try:
            with self._explained(connection):
                found = self._openai().post(address, cast_to=object, body=body)
        except UpstreamFailure as ex:
            if isinstance(ex.error, RequestError | ModelLoadFailed):
                return {}
            raise
        return found if isinstance(found, dict) else {}

    def close(self) -> None:
        """No more requests are sent."""
        with self._lock:
            if self._client:
                self._client.close()

    @contextmanager
    def _explained(self, connection: UpstreamConnection) -> Iterator[None]:
        """Errors of the libraries as `UpstreamFailure`; requests inside use `connection`."""
        import httpx2
        import openai

        self._current.connection = connection
        try:
            yield
        except ReplyAborted as ex:
            raise self._explainer.broken(f"it gave the reply up ({ex})") from ex
        except (openai.APIError, httpx2.HTTPError, ValueError) as ex:
            raise self._explainer.explain(ex) from ex

    def _openai(self) -> "openai.OpenAI":
        with self._lock:
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> "openai.OpenAI":
        import httpx2
        import openai

        for library in ("openai", "httpx2", "httpcore2"):
            # They log every request, prompts included.
            logging.getLogger(library).setLevel(logging.WARNING)
        # A connection serves one request: it is known whose it is, and there are no stale ones.
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=0)
        transport = httpx2.HTTPTransport(trust_env=False, limits=limits, retries=CONNECT_RETRIES)
        return openai.OpenAI(
            base_url=self.address,
            api_key=self._api_key or "none",
            max_retries=0,
            timeout=self._timeout(self._read_timeout),
            http_client=httpx2.Client(
                transport=transport,
                trust_env=False,
                follow_redirects=False,
                event_hooks={"request": [self._prepare]},
            ),
        )

    def _timeout(self, read: float) -> "httpx2.Timeout":
        import httpx2

        return httpx2.Timeout(read, connect=self._connect_timeout)

    def _prepare(self, request: "httpx2.Request") -> None:
        import httpx2

        # A stream that is compressed comes in lumps.
        headers = {"accept-encoding": "identity", "connection": "close"}
        headers |= {name: request.headers[name] for name in _HEADERS if name in request.headers}
        if self._api_key:
            headers["authorization"] = f"Bearer {self._api_key}"
        request.headers = httpx2.Headers(headers)
        request.extensions = {**request.extensions, "trace": self._current.connection.trace}
