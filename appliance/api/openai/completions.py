"""OpenAI's API: chat completions, completions, models."""

import time
from collections.abc import Sequence
from typing import Any

import falcon
import msgspec
from structlog.contextvars import bind_contextvars

from appliance.api.generation.request import Completion
from appliance.api.legacy.requests import (
    Original,
    OriginalRequest,
    fields_of,
    has_own_fields,
    timed,
)
from appliance.api.models.models import ModelShelf
from appliance.api.openai.encoder import ChatShape, Shape, TextShape
from appliance.api.openai.schemas import ChatCompletionRequest, CompletionRequest, OpenAIRequest
from appliance.api.openapi.operation import Operations
from appliance.api.wire import streams
from appliance.api.wire.bodies import decode_json, read_json
from appliance.api.wire.responses import (
    ChatCompletion,
    ChatCompletionChunk,
    ErrorAnswer,
    ModelObject,
    ModelObjects,
    TextCompletion,
)
from appliance.config.schema import Limits
from appliance.engine.pool import Model, Pool
from appliance.engine.types import Prompt, TextPrompt, TokenPrompt
from appliance.errors import RequestError
from appliance.models.local.summary import LocalModel

operation = Operations("OpenAI")

MAX_CHOICES = 64
"""Of one request: prompts × n."""


DONE_TEXT = "[DONE]"
"""The data of a stream's last event."""

OF_PROMPTS = (404, 409, 507)
"""Statuses of errors: no such model, and what a session's turn may run into."""


class _Completions:
    """What both endpoints do with a completion."""

    def __init__(self, pool: Pool, limits: Limits, original: Original) -> None:
        """`original` answers bodies of the original service."""
        self._pool = pool
        self._max_tokens = limits.max_response_tokens
        self._max_prompt_length = limits.max_prompt_length
        self._original = original

    def _answer(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        body: OpenAIRequest,
        prompts: Sequence[Prompt],
        shape: Shape,
    ) -> None:
        model = self._pool.find(body.model)
        if body.stream_options and not body.stream:
            raise RequestError("stream_options goes with stream", param="stream_options")
        if body.stream_options:
            body.stream_options.check()
        bind_contextvars(**body.labels())
        n = body.n or 1
        if len(prompts) * n > MAX_CHOICES:
            raise RequestError(f"more than {MAX_CHOICES} choices are wanted", param="n")
        completion = Completion(
            model,
            prompts,
            body.params(self._max_tokens),
            shape,
            n=n,
            one_call=body.one_call,
            told=body.told(),
            caller=req.context.caller,
            device=body.device,
        )
        if body.stream:
            usage = bool(body.stream_options and body.stream_options.include_usage)
            streams.send(req, resp, completion.stream(usage))
        else:
            self._send(req, resp, completion.run(req.env["appliance.on_disconnect"]))
        warn(resp, model, body.device, body.unkept())

    def _send(self, req: falcon.Request, resp: falcon.Response, whole: dict[str, Any]) -> None:
        resp.data = msgspec.json.encode(whole)
        resp.content_type = falcon.MEDIA_JSON

    def _check_length(self, length: int, param: str) -> None:
        if length > self._max_prompt_length:
            raise RequestError(
                f"{param} has {length} characters, at most {self._max_prompt_length} are allowed",
                param=param,
            )


class ChatCompletions(_Completions):
    """`POST /v1/chat/completions`"""

    @operation(
        takes=(ChatCompletionRequest, OriginalRequest),
        gives=ChatCompletion,
        streams=(ChatCompletionChunk, ErrorAnswer, DONE_TEXT, str),
        plain_errors=True,
        errors=OF_PROMPTS,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The messages' next one, streamed or whole.

        A body with `prompt` is the original service's: it is answered with plain text, streamed.
        """
        raw = read_json(req)
        fields = fields_of(raw)
        if "prompt" in fields and "messages" not in fields:
            self._original.answer_chat(req, resp, fields)
            return
        body: ChatCompletionRequest = decode_json(raw, ChatCompletionRequest)
        prompt = body.prompt()
        self._check_length(sum(len(message.content) for message in prompt.messages), "messages")
        self._answer(req, resp, body, [prompt], ChatShape())


class Completions(_Completions):
    """`POST /v1/completions`"""

    @operation(
        takes=(CompletionRequest, OriginalRequest),
        gives=TextCompletion,
        streams=(TextCompletion, ErrorAnswer, DONE_TEXT),
        errors=OF_PROMPTS,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Each prompt's continuation, streamed or whole.

        Names of the original service's fields are taken as well; with a session, the prompt is a
        turn of it.
        """
        raw = read_json(req)
        fields = fields_of(raw)
        if has_own_fields(fields):
            self._send(req, resp, self._original.answer_text(req, resp, fields))
            return
        body: CompletionRequest = decode_json(raw, CompletionRequest)
        prompts = prompts_of(body.prompt, "prompt", MAX_CHOICES)
        for prompt in prompts:
            if isinstance(prompt, TextPrompt):
                self._check_length(len(prompt.text), "prompt")
        self._answer(req, resp, body, prompts, TextShape())

    def _send(self, req: falcon.Request, resp: falcon.Response, whole: dict[str, Any]) -> None:
        super()._send(req, resp, timed(whole, time.monotonic() - req.context.began))


class Models:
    """`GET /v1/models` and `GET /v1/models/{id}`"""

    def __init__(self, shelf: ModelShelf) -> None:
        self._shelf = shelf
        self._since = int(time.time())

    @operation(gives=ModelObjects)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All models on offer, the default first; also those whose file is not here yet."""
        data = [self._object(model) for model in self._shelf.offered()]
        names = [model.name for model in data]
        resp.data = msgspec.json.encode(ModelObjects(data=data, models=names))
        resp.content_type = falcon.MEDIA_JSON

    @operation(gives=ModelObject)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, model: str) -> None:
        """One model, by id or name, which may have a slash."""
        resp.data = msgspec.json.encode(self._object(self._shelf.offered_as(model)))
        resp.content_type = falcon.MEDIA_JSON

    def _object(self, known: LocalModel) -> ModelObject:
        return ModelObject(
            id=known.id,
            created=self._since,
            name=known.name,
            context_length=known.n_ctx or known.context_length,
            quantization=known.quantization,
            device=known.device or "",
            loaded=known.status == "ready",
            downloaded=known.downloaded,
            detail=known.detail,
        )


def warn(
    resp: falcon.Response, model: Model, device: str | None, unkept: Sequence[str] = ()
) -> None:
    """Say in a header that the model is not on the device that was asked for, and what else of a
    request is not kept to in full."""
    told = [*filter(None, [model.place.warning_for(device)]), *unkept]
    if told:
        resp.set_header("X-Appliance-Warning", "; ".join(told).encode("ascii", "replace").decode())


def prompts_of(
    given: str | Sequence[int | str | list[int]], param: str, most: int
) -> list[TextPrompt | TokenPrompt]:
    """What OpenAI lets a caller write in four ways: a text, tokens, or up to `most` of either.

    Raises:
        RequestError: it is none of these; `param` is named.
    """
    if isinstance(given, str):
        return [TextPrompt(given)]
    tokens = [item for item in given if isinstance(item, int)]
    if tokens:
        if len(tokens) != len(given):
            raise RequestError(f"{param} mixes tokens and texts", param=param)
        return [TokenPrompt(tokens)]
    if len(given) > most:
        raise RequestError(f"{param} has more than {most} entries", param=param)
    return [
        TextPrompt(item) if isinstance(item, str) else TokenPrompt(item)
        for item in given
        if not isinstance(item, int)
    ]
