"""Ollama's API: chats and prompts."""

from collections.abc import Callable
from typing import Any

import falcon

from appliance.api.dialects.ollama.answers import (
    ChatAnswer,
    GenerateAnswer,
    OllamaError,
    ollama_error,
)
from appliance.api.dialects.ollama.encoder import NDJSON, ChatLines, GenerateLines
from appliance.api.dialects.ollama.schemas import (
    ChatRequest,
    GenerateRequest,
    OllamaGenerationRequest,
)
from appliance.api.dialects.ollama.served import ModelInventory, OllamaPool, caller_of
from appliance.api.generation.request import Generation
from appliance.api.generation.sampling import ReplyLimit
from appliance.api.openapi.operation import Operations
from appliance.api.wire import streams
from appliance.api.wire.bodies import check_length
from appliance.api.wire.headers import warn
from appliance.api.wire.lenient import decode_any_type
from appliance.config.schema import LimitsSettings
from appliance.engine.serving.pool import ServedModel
from appliance.engine.types import GenerationRequest, InfillPrompt, Prompt, TextPrompt
from appliance.errors import RequestError
from appliance.models.local.ollama_options import read_options
from appliance.store.callers.derived_models import DerivedModel

operation = Operations("Ollama")


class _OllamaGeneration:
    """What both do."""

    error_format = staticmethod(ollama_error)

    def __init__(self, pool: OllamaPool, models: ModelInventory, limits: LimitsSettings) -> None:
        self._pool = pool
        self._models = models
        self._max_tokens = limits.max_response_tokens
        self._max_prompt_length = limits.max_prompt_length

    def _answer(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        body: OllamaGenerationRequest,
        model: ServedModel,
        made: DerivedModel | None,
        prompt: Callable[[], Prompt | None],
        encoder: ChatLines | GenerateLines,
        ignored: str | None,
    ) -> None:
        options = read_options({**(made.options if made else {}), **(body.options or {})})
        sampling = body.sampling(options, self._max_tokens, model.spec.sampling)
        caller = caller_of(req)
        found = prompt()
        cut = None
        kept = self._pool.keep(model, body, caller)
        if found is None:
            unloads = model.keep_alive == 0 and body.keep_alive is not None
            if unloads:
                self._pool.unload(model, caller)
            else:
                self._pool.load(model)
            resp.media = encoder.loaded("unload" if unloads else "load")
        else:
            request = GenerationRequest(
                prompt=found, sampling=sampling, owner=caller.owner, caller=caller.key_name
            )
            generation = Generation(model, [request])
            if body.stream is not False:
                streams.send(req, resp, generation.stream(encoder))
            else:
                resp.media = generation.run(encoder, req.env["appliance.on_disconnect"])
            cut = ReplyLimit(options.most, self._max_tokens).warning(generation.accepted)
        warn(resp, model.routing.warning_for(None), cut, ignored, options.ignored, kept)

    def _check_thinks(self, name: str, model: ServedModel, body: OllamaGenerationRequest) -> None:
        """
        Raises:
            RequestError: it is to think, and can't.
        """
        if body.think and self._models.offered_as(model.id).thinks is False:
            raise RequestError(f'"{name}" does not support thinking', param="think")


class OllamaChat(_OllamaGeneration):
    """`POST /api/chat`"""

    @operation(
        takes=ChatRequest,
        gives=ChatAnswer,
        streams=(ChatAnswer, OllamaError),
        stream_type=NDJSON,
        errors=(404,),
        error=OllamaError,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The next message of a chat, streamed or whole; without messages, the model is loaded."""
        body, ignored = decode_any_type(req, ChatRequest)
        name = body.asked()
        model, made = self._pool.resolve(name)

        def prompt() -> Any:
            if not body.messages:
                return None
            conversation = body.conversation(made)
            check_length("messages", conversation.length, self._max_prompt_length)
            self._check_thinks(name, model, body)
            return body.prompt(conversation)

        self._answer(req, resp, body, model, made, prompt, ChatLines(name), ignored)


class OllamaGenerate(_OllamaGeneration):
    """`POST /api/generate`"""

    @operation(
        takes=GenerateRequest,
        gives=GenerateAnswer,
        streams=(GenerateAnswer, OllamaError),
        stream_type=NDJSON,
        errors=(404,),
        error=OllamaError,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The reply to a prompt, streamed or whole; without one, the model is loaded."""
        body, ignored = decode_any_type(req, GenerateRequest)
        name = body.asked()
        model, made = self._pool.resolve(name)
        encoder = GenerateLines(name, raw=bool(body.raw))

        def prompt() -> Any:
            body.check()
            if not body.prompt:
                return None
            length = len(body.prompt) + len(body.system or "") + len(body.suffix or "")
            check_length("prompt", length, self._max_prompt_length)
            self._check_thinks(name, model, body)
            if body.suffix:
                return InfillPrompt(body.prompt, body.suffix)
            if body.raw:
                return TextPrompt(body.prompt)
            encoder.so_far = body.so_far(self._max_prompt_length)
            length = sum(len(text) for _, text in encoder.so_far)
            check_length("context", length, self._max_prompt_length)
            return body.prompt_of_chat(encoder.so_far, made)

        self._answer(req, resp, body, model, made, prompt, encoder, ignored)
