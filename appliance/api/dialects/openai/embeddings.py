"""OpenAI's API: embeddings."""

import base64

import falcon
from structlog.contextvars import bind_contextvars

from appliance.api.dialects.openai.answers import EmbeddingList, EmbeddingObject, EmbeddingUsage
from appliance.api.dialects.openai.prompts import prompts_of
from appliance.api.dialects.openai.schemas import EmbeddingRequest
from appliance.api.generation.embedding import embed, floats, shortened
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import check_length
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_lenient
from appliance.engine.serving.pool import Pool
from appliance.engine.types import EmbedRequest, TextPrompt

operation = Operations("OpenAI")

MAX_INPUTS = 2048
"""Inputs of one request; OpenAI's limit."""


class Embeddings:
    """`POST /v1/embeddings`"""

    def __init__(self, pool: Pool, max_prompt_length: int) -> None:
        """`max_prompt_length`: characters of an input, see `[limits]`."""
        self._pool = pool
        self._max_prompt_length = max_prompt_length

    @operation(takes=EmbeddingRequest, gives=EmbeddingList, errors=(404,))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """A vector of length 1 for each input, in their order."""
        body, ignored = decode_lenient(req, EmbeddingRequest)
        inputs = prompts_of(body.input, "input", MAX_INPUTS)
        for number, prompt in enumerate(inputs):
            if isinstance(prompt, TextPrompt):
                name = f"input[{number}]"
                check_length(name, len(prompt.text), self._max_prompt_length, param="input")
        model = self._pool.find(body.model)
        if body.user:
            bind_contextvars(user=body.user)
        request = EmbedRequest(
            inputs=inputs,
            dimensions=body.dimensions,
            owner=req.context.caller.owner,
            device=body.device,
        )
        done = embed(model, request, req.env["appliance.on_disconnect"])
        write = _base64 if body.encoding_format == "base64" else floats
        resp.media = EmbeddingList(
            data=[
                EmbeddingObject(index=index, embedding=write(shortened(vector, body.dimensions)))
                for index, vector in enumerate(done.vectors)
            ],
            model=model.id,
            usage=EmbeddingUsage(prompt_tokens=done.prompt_tokens, total_tokens=done.prompt_tokens),
        )
        warn(resp, model.routing.warning_for(body.device), ignored)


def _base64(vector: bytes) -> str:
    return base64.b64encode(vector).decode()
