"""Anthropic's API: messages, and counting their tokens."""

import falcon
from structlog.contextvars import bind_contextvars

from appliance.api.dialects.anthropic.encoder import MessageEncoder
from appliance.api.dialects.anthropic.errors import anthropic_error
from appliance.api.dialects.anthropic.schemas import (
    AnthropicError,
    BlockDelta,
    BlockStart,
    BlockStop,
    MessageAnswer,
    MessageEnd,
    MessagePing,
    MessagesRequest,
    MessageStart,
    MessageStop,
    TokenCount,
    TokenCountRequest,
)
from appliance.api.generation.counting import count_prompt_tokens
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
from appliance.engine.types import GenerationRequest
from appliance.errors import ModelNotFound

operation = Operations("Anthropic")

LOGGED = 500
"""Characters of `metadata.user_id` in the log."""


class _Anthropic:
    """What both endpoints do with a request."""

    error_format = staticmethod(anthropic_error)

    def __init__(self, pool: Pool, limits: LimitsSettings) -> None:
        self._pool = pool
        self._max_tokens = limits.max_response_tokens
        self._max_prompt_length = limits.max_prompt_length

    def _model(self, name: str) -> ServedModel:
        try:
            return self._pool.find(name)
        except ModelNotFound as ex:
            raise ModelNotFound(f"model: {name}", param=ex.param) from ex

    def _request(
        self, req: falcon.Request, body: TokenCountRequest, model: ServedModel
    ) -> GenerationRequest:
        conversation = body.conversation()
        check_length("messages", conversation.length, self._max_prompt_length)
        caller: Caller = req.context.caller
        return GenerationRequest(
            prompt=body.prompt(conversation),
            sampling=body.sampling(self._max_tokens, model.spec.sampling),
            owner=caller.owner,
            caller=caller.key_name,
        )

    def _set_id(self, resp: falcon.Response) -> None:
        """The SDKs show this id."""
        resp.set_header("request-id", f"req_{resp.get_header('X-Request-Id')}")


class Messages(_Anthropic):
    """`POST /v1/messages`"""

    @operation(
        takes=MessagesRequest,
        gives=MessageAnswer,
        streams={
            "message_start": MessageStart,
            "ping": MessagePing,
            "content_block_start": BlockStart,
            "content_block_delta": BlockDelta,
            "content_block_stop": BlockStop,
            "message_delta": MessageEnd,
            "message_stop": MessageStop,
            "error": AnthropicError,
        },
        errors=(404,),
        error=AnthropicError,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The next message, streamed or whole."""
        self._set_id(resp)
        body, ignored = decode_lenient(req, MessagesRequest)
        model = self._model(body.model)
        if body.metadata and body.metadata.user_id:
            bind_contextvars(user=body.metadata.user_id[:LOGGED])
        request = self._request(req, body, model)
        generation = Generation(model, [request], single_tool_call=body.single_tool_call)
        encoder = MessageEncoder(body.model)
        if body.stream:
            streams.send(req, resp, generation.stream(encoder))
        else:
            resp.media = generation.run(encoder, req.env["appliance.on_disconnect"])
        cut = ReplyLimit(body.max_tokens, self._max_tokens).warning(generation.accepted)
        warn(resp, model.routing.warning_for(None), cut, ignored, body.not_offered())


class MessageTokens(_Anthropic):
    """`POST /v1/messages/count_tokens`"""

    @operation(takes=TokenCountRequest, gives=TokenCount, errors=(404,), error=AnthropicError)
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Tokens of the whole prompt, with the system prompt and the tools."""
        self._set_id(resp)
        body, ignored = decode_lenient(req, TokenCountRequest)
        model = self._model(body.model)
        request = self._request(req, body, model)
        count = count_prompt_tokens(model, request, req.env["appliance.on_disconnect"])
        resp.media = TokenCount(input_tokens=count)
        warn(resp, ignored, body.not_offered())
