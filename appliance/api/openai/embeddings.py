"""OpenAI's API: embeddings."""

import base64
import struct
import threading
from collections.abc import Callable

import falcon
import msgspec
from structlog.contextvars import bind_contextvars

from appliance.api.openai.completions import operation, prompts_of, warn
from appliance.api.openai.schemas import EmbeddingRequest
from appliance.api.wire.bodies import decode
from appliance.api.wire.responses import EmbeddingList, EmbeddingObject, EmbeddingUsage
from appliance.engine.pool import Model, Pool
from appliance.engine.protocol import Embedded, Failed, SequenceEvent, Terminal
from appliance.engine.types import TextPrompt, TokenPrompt
from appliance.errors import RequestError, ShuttingDown, from_code

MAX_INPUTS = 2048
"""Of one request, as OpenAI has it."""


class Embeddings:
    """`POST /v1/embeddings`"""

    def __init__(self, pool: Pool, max_prompt_length: int) -> None:
        """`max_prompt_length`: characters of an input, see `[limits]`."""
        self._pool = pool
        self._max_prompt_length = max_prompt_length

    @operation(takes=EmbeddingRequest, gives=EmbeddingList, errors=(404,))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A vector of length 1 for each input, in their order."""
        body = decode(req, EmbeddingRequest)
        inputs = prompts_of(body.input, "input", MAX_INPUTS)
        for number, prompt in enumerate(inputs):
            if isinstance(prompt, TextPrompt) and len(prompt.text) > self._max_prompt_length:
                raise RequestError(
                    f"input[{number}] has {len(prompt.text)} characters, "
                    f"at most {self._max_prompt_length} are allowed",
                    param="input",
                )
        model = self._pool.find(body.model)
        if body.user:
            bind_contextvars(user=body.user)
        done = _embed(
            model,
            inputs,
            body.dimensions,
            owner=req.context.caller.owner,
            device=body.device,
            on_disconnect=req.env["appliance.on_disconnect"],
        )
        write = _base64 if body.encoding_format == "base64" else _floats
        answer = EmbeddingList(
            data=[
                EmbeddingObject(index=index, embedding=write(vector))
                for index, vector in enumerate(done.vectors)
            ],
            model=model.id,
            usage=EmbeddingUsage(prompt_tokens=done.prompt_tokens, total_tokens=done.prompt_tokens),
        )
        resp.data = msgspec.json.encode(answer)
        resp.content_type = falcon.MEDIA_JSON
        warn(resp, model, body.device)


def _embed(
    model: Model,
    inputs: list[TextPrompt | TokenPrompt],
    dimensions: int | None,
    *,
    owner: str,
    device: str | None,
    on_disconnect: Callable[[Callable[[], None]], None],
) -> Embedded:
    """Submit and wait for the end.

    Raises:
        ApplianceError: there are no vectors.
    """
    ends: list[Terminal] = []
    ended = threading.Event()

    def take(event: SequenceEvent) -> None:
        if isinstance(event, Terminal):
            ends.append(event)
            ended.set()

    on_disconnect(model.embed(inputs, dimensions, take, owner, device))
    ended.wait()
    (end,) = ends
    if isinstance(end, Failed):
        raise from_code(end.code, end.message, end.param)
    if not isinstance(end, Embedded):  # the caller has gone
        raise ShuttingDown("the request was cancelled")
    return end


def _floats(vector: bytes) -> list[float]:
    return list(struct.unpack(f"<{len(vector) // 4}f", vector))


def _base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode()
