"""OpenAI's API: chat completions and completions."""

from collections.abc import Sequence
from typing import Any

import falcon
import msgspec
from msgspec import UNSET
from structlog.contextvars import bind_contextvars

from appliance.api.generation.encoder import Encoder
from appliance.api.generation.request import Generation
from appliance.api.generation.sampling import ReplyLimit
from appliance.api.openai.answers import ChatCompletion, ChatCompletionChunk, TextCompletion
from appliance.api.openai.encoder import DONE_TEXT, ChatEncoder, TextEncoder
from appliance.api.openai.prompts import prompts_of
from appliance.api.openai.schemas import ChatCompletionRequest, CompletionRequest, OpenAIRequest
from appliance.api.openapi.operation import Operations
from appliance.api.wire import streams
from appliance.api.wire.bodies import check_length, decode
from appliance.api.wire.headers import warn
from appliance.auth.keys.scopes import Caller
from appliance.config.schema import LimitsSettings
from appliance.engine.pool import Pool, ServedModel
from appliance.engine.types import ChatMessage, GenerationRequest, Prompt, TextPrompt
from appliance.errors import RequestError
from appliance.http.errors import ErrorAnswer

operation = Operations("OpenAI")

MAX_CHOICES = 64
"""Maximum number of choices of one request: prompts × n."""


class _Completions:
    """What both endpoints do with a request."""

    def __init__(self, pool: Pool, limits: LimitsSettings) -> None:
        self._pool = pool
        self._max_tokens = limits.max_response_tokens
        self._max_prompt_length = limits.max_prompt_length

    def _answer(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        body: OpenAIRequest,
        model: ServedModel,
        prompts: Sequence[Prompt],
        encoder: Encoder[Any],
    ) -> None:
        if body.stream_options and not body.stream:
            raise RequestError("stream_options goes with stream", param="stream_options")
        if body.stream_options:
            body.stream_options.check()
        bind_contextvars(**body.log_fields())
        n = body.n or 1
        if len(prompts) * n > MAX_CHOICES:
            raise RequestError(f"more than {MAX_CHOICES} choices are requested", param="n")
        caller: Caller = req.context.caller
        sampling = body.params(self._max_tokens, model.spec.sampling)
        requests = [
            GenerationRequest(
                prompt=prompt,
                sampling=sampling,
                owner=caller.owner,
                caller=caller.key_name,
                device=body.device,
            )
            for prompt in prompts
        ]
        generation = Generation(model, requests, n=n, single_tool_call=body.single_tool_call)
        if body.stream:
            streams.send(req, resp, generation.stream(encoder))
        else:
            resp.media = generation.run(encoder, req.env["appliance.on_disconnect"])
        cut = ReplyLimit(body.requested_tokens(), self._max_tokens).warning(generation.accepted)
        warn(resp, model.routing.warning_for(body.device), cut, *body.ignored_fields())


class ChatCompletions(_Completions):
    """`POST /v1/chat/completions`"""

    @operation(
        takes=ChatCompletionRequest,
        gives=ChatCompletion,
        streams=(ChatCompletionChunk, ErrorAnswer, DONE_TEXT),
        errors=(404,),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The next message of a chat, streamed or whole."""
        body = decode(req, ChatCompletionRequest)
        prompt = body.prompt()
        check_length("messages", sum(map(_length, prompt.messages)), self._max_prompt_length)
        check_length("tools", len(msgspec.json.encode(body.tools)), self._max_prompt_length)
        model = self._pool.find(body.model)
        encoder = ChatEncoder(
            model.id,
            include_usage=body.include_usage,
            n=body.n or 1,
            service_tier="default" if body.service_tier else UNSET,
        )
        self._answer(req, resp, body, model, [prompt], encoder)


def _length(message: ChatMessage) -> int:
    """Characters of everything in it that the model reads."""
    calls = message.tool_calls or ()
    return sum(
        len(text or "")
        for text in (
            *(message.content, message.reasoning_content, message.name, message.tool_call_id),
            *(text for it in calls for text in (it.id, it.function.name, it.function.arguments)),
        )
    )


class Completions(_Completions):
    """`POST /v1/completions`"""

    @operation(
        takes=CompletionRequest,
        gives=TextCompletion,
        streams=(TextCompletion, ErrorAnswer, DONE_TEXT),
        errors=(404,),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The continuation of each prompt, streamed or whole."""
        body = decode(req, CompletionRequest)
        prompts = prompts_of(body.prompt, "prompt", MAX_CHOICES)
        for prompt in prompts:
            if isinstance(prompt, TextPrompt):
                check_length("prompt", len(prompt.text), self._max_prompt_length)
        model = self._pool.find(body.model)
        encoder = TextEncoder(model.id, include_usage=body.include_usage, n=body.n or 1)
        self._answer(req, resp, body, model, prompts, encoder)
