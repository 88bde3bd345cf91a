"""OpenAI's API: chat completions and completions."""

from collections.abc import Sequence
from typing import Any

import falcon
import msgspec
from msgspec import UNSET
from structlog.contextvars import bind_contextvars

from appliance.api.dialects.openai.answers import (
    ChatCompletion,
    ChatCompletionChunk,
    TextCompletion,
)
from appliance.api.dialects.openai.encoder import DONE_TEXT, ChatEncoder, TextEncoder
from appliance.api.dialects.openai.models import OfferedModels
from appliance.api.dialects.openai.prompts import prompts_of
from appliance.api.dialects.openai.schemas import (
    ChatCompletionRequest,
    CompletionRequest,
    OpenAIRequest,
)
from appliance.api.generation.embedding import read_text
from appliance.api.generation.encoder import Encoder
from appliance.api.generation.keeping import keep
from appliance.api.generation.request import Generation
from appliance.api.generation.sampling import ReplyLimit
from appliance.api.openapi.operation import Operations
from appliance.api.wire import streams
from appliance.api.wire.bodies import check_length
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_lenient
from appliance.auth.keys.scopes import Caller
from appliance.config.schema import LimitsSettings
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.engine.types import (
    ChatMessage,
    GenerationRequest,
    InfillPrompt,
    Prompt,
    TextPrompt,
    TextRequest,
    TokenPrompt,
)
from appliance.errors import RequestError
from appliance.http.errors import ErrorAnswer

operation = Operations("OpenAI")

MAX_CHOICES = 64
"""Maximum number of choices of one request: prompts × n."""


class CompletionEndpoint:
    """What all endpoints do with a request that a reply is generated for."""

    def __init__(self, pool: Pool, limits: LimitsSettings) -> None:
        self.pool = pool
        self.max_tokens = limits.max_response_tokens
        self.max_prompt_length = limits.max_prompt_length

    def called(self, name: str | None, model: ServedModel) -> str:
        """What the answer calls the model: its id, or the alias that was asked for."""
        return name if name and self.pool.aliases.target(name) else model.id

    def answer(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        body: OpenAIRequest,
        model: ServedModel,
        prompts: Sequence[Prompt],
        encoder: Encoder[Any],
        *ignored: str | None,
    ) -> None:
        """Generate a reply to each prompt, and answer with what the encoder makes of them."""
        bind_contextvars(**body.log_fields())
        n = body.n or 1
        if len(prompts) * n > MAX_CHOICES:
            raise RequestError(f"more than {MAX_CHOICES} choices are requested", param="n")
        caller: Caller = req.context.caller
        sampling = body.params(self.max_tokens, model.spec.sampling)
        kept = keep(
            model, body.kept_seconds, caller, "keep_alive" if body.keep_alive is not None else "ttl"
        )
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
        cut = ReplyLimit(body.requested_tokens(), self.max_tokens).warning(generation.accepted)
        warn(
            resp,
            model.routing.warning_for(body.device),
            cut,
            kept,
            *body.ignored_fields(),
            *ignored,
        )


class ChatCompletions(CompletionEndpoint):
    """`POST /v1/chat/completions`"""

    def __init__(self, pool: Pool, models: OfferedModels, limits: LimitsSettings) -> None:
        super().__init__(pool, limits)
        self._models = models

    @operation(
        takes=ChatCompletionRequest,
        gives=ChatCompletion,
        streams=(ChatCompletionChunk, ErrorAnswer, DONE_TEXT),
        errors=(404,),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The next message of a chat, streamed or whole."""
        body, ignored = decode_lenient(req, ChatCompletionRequest)
        prompt = body.prompt()
        check_length("messages", sum(map(_length, prompt.messages)), self.max_prompt_length)
        check_length("tools", len(msgspec.json.encode(prompt.tools)), self.max_prompt_length)
        model = self.pool.find(body.model)
        encoder = self.encoder(body, model)
        effort = None
        if prompt.effort is not None:
            thinks = self._models.described(model).thinks
            if thinks is None:  # it runs elsewhere, where more is known of it
                prompt = msgspec.structs.replace(prompt, effort_is_wish=False)
            elif not thinks and prompt.effort != "none":
                effort = "ignored: reasoning_effort, this model does not think"
        self.answer(req, resp, body, model, [prompt], encoder, ignored, effort)

    def encoder(self, body: ChatCompletionRequest, model: ServedModel) -> ChatEncoder:
        """Of the answer."""
        return ChatEncoder(
            self.called(body.model, model),
            include_usage=body.include_usage,
            n=body.n or 1,
            service_tier="default" if body.service_tier else UNSET,
        )


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


class Completions(CompletionEndpoint):
    """`POST /v1/completions`"""

    @operation(
        takes=CompletionRequest,
        gives=TextCompletion,
        streams=(TextCompletion, ErrorAnswer, DONE_TEXT),
        errors=(404,),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The continuation of each prompt, streamed or whole."""
        body, ignored = decode_lenient(req, CompletionRequest)
        prompts: Sequence[Prompt] = prompts_of(body.prompt, "prompt", MAX_CHOICES)
        for prompt in prompts:
            if isinstance(prompt, TextPrompt):
                check_length("prompt", len(prompt.text), self.max_prompt_length)
        model = self.pool.find(body.model)
        if body.suffix:
            check_length("suffix", len(body.suffix), self.max_prompt_length)
            prompts = [_gap(prompt, body.suffix) for prompt in prompts]
        echoed = [self._echo(req, model, prompt) for prompt in prompts if body.echo]
        encoder = self.encoder(body, model, echoed)
        self.answer(req, resp, body, model, prompts, encoder, ignored)

    def encoder(
        self, body: CompletionRequest, model: ServedModel, echoed: list[str]
    ) -> TextEncoder:
        """Of the answer."""
        return TextEncoder(
            self.called(body.model, model),
            include_usage=body.include_usage,
            n=body.n or 1,
            echoed=echoed,
        )

    def _echo(self, req: falcon.Request, model: ServedModel, prompt: Prompt) -> str:
        if isinstance(prompt, TextPrompt):
            return prompt.text
        if isinstance(prompt, InfillPrompt):
            return prompt.prefix
        assert isinstance(prompt, TokenPrompt)
        wanted = TextRequest(
            kind="detokenize", tokens=prompt.tokens, owner=req.context.caller.owner
        )
        return read_text(model, wanted, req.env["appliance.on_disconnect"]).text


def _gap(prompt: Prompt, suffix: str) -> InfillPrompt:
    if not isinstance(prompt, TextPrompt):
        raise RequestError("suffix goes with a prompt that is text", param="suffix")
    return InfillPrompt(prompt.text, suffix)
