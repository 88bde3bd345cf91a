"""Ollama's API: embeddings."""

import time

import falcon

from appliance.api.dialects.ollama.answers import (
    OldEmbedding,
    OllamaEmbeddings,
    OllamaError,
    ollama_error,
)
from appliance.api.dialects.ollama.schemas import KeptModel, OldEmbedRequest, OllamaEmbedRequest
from appliance.api.dialects.ollama.served import OllamaPool, caller_of
from appliance.api.generation.embedding import embed, floats, shortened
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import check_length
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_any_type
from appliance.engine.protocol import Embedded
from appliance.engine.types import EmbedRequest, TextPrompt
from appliance.errors import ContextLengthExceeded

operation = Operations("Ollama")


class _OllamaVectors:
    """What both do."""

    error_format = staticmethod(ollama_error)

    def __init__(self, pool: OllamaPool, max_prompt_length: int) -> None:
        """`max_prompt_length`: characters of an input, see `[limits]`."""
        self._pool = pool
        self._max_prompt_length = max_prompt_length

    def _embed(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        body: KeptModel,
        texts: list[str],
        ignored: str | None,
        *,
        truncate: bool,
    ) -> Embedded | None:
        """The vectors; None if there are no texts."""
        model = self._pool.find(body.asked())
        for number, text in enumerate(texts):
            check_length(f"input[{number}]", len(text), self._max_prompt_length, param="input")
        caller = caller_of(req)
        kept = self._pool.keep(model, body, caller)
        warn(resp, ignored, kept)
        if not texts:
            self._pool.load(model)
            return None
        request = EmbedRequest(
            inputs=[TextPrompt(text) for text in texts], truncate=truncate, owner=caller.owner
        )
        try:
            return embed(model, request, req.env["appliance.on_disconnect"])
        except ContextLengthExceeded as ex:
            raise ContextLengthExceeded(
                "the input length exceeds the context length", param=ex.param
            ) from ex


class OllamaEmbed(_OllamaVectors):
    """`POST /api/embed`"""

    @operation(takes=OllamaEmbedRequest, gives=OllamaEmbeddings, errors=(404,), error=OllamaError)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A vector of length 1 for each input, in their order."""
        began = time.monotonic()
        body, ignored = decode_any_type(req, OllamaEmbedRequest)
        given = [body.input] if isinstance(body.input, str) else list(body.input or ())
        texts = [] if given == [""] else given
        truncate = body.truncate is not False
        done = self._embed(req, resp, body, texts, ignored, truncate=truncate)
        vectors = [shortened(it, body.dimensions) for it in done.vectors] if done else []
        resp.media = OllamaEmbeddings(
            model=body.asked(),
            embeddings=[floats(vector) for vector in vectors],
            total_duration=max(1, int((time.monotonic() - began) * 1e9)),
            load_duration=1,
            prompt_eval_count=done.prompt_tokens if done else 0,
        )


class OldOllamaEmbed(_OllamaVectors):
    """`POST /api/embeddings`"""

    @operation(takes=OldEmbedRequest, gives=OldEmbedding, errors=(404,), error=OllamaError)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The vector of a prompt."""
        body, ignored = decode_any_type(req, OldEmbedRequest)
        texts = [body.prompt] if body.prompt else []
        done = self._embed(req, resp, body, texts, ignored, truncate=True)
        resp.media = OldEmbedding(embedding=floats(done.vectors[0]) if done else [])
