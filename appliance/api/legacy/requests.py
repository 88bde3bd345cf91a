"""Requests of the original service's clients: one prompt, optionally in a session."""

import time
from functools import partial
from typing import Annotated, cast

import falcon
import msgspec
from msgspec import Meta

from appliance.api.chat.reply_requests import ReplyStarter
from appliance.api.chat.schemas import TurnIn
from appliance.api.chat.socket import SocketClient, UntypedTurn
from appliance.api.generation.request import Generation
from appliance.api.generation.sampling import ReplyLimit, Sampling, Tokens
from appliance.api.legacy.plain_text import PlainReply, PlainTextStream, error_text
from appliance.api.openai.encoder import TextEncoder
from appliance.api.openai.schemas import (
    CompletionUsage,
    PromptTokensDetails,
    TextChoice,
    TextCompletion,
)
from appliance.api.wire import streams
from appliance.api.wire.bodies import check_length, decode_fields, decode_json
from appliance.api.wire.headers import DROPPED_MESSAGES, warn
from appliance.auth.keys.scopes import Caller
from appliance.chat.events import ReplyEnded
from appliance.chat.live_reply import Follower
from appliance.config.schema import DeviceName, LimitsSettings
from appliance.engine.pool import Pool
from appliance.engine.protocol import Accepted, CachedFrom
from appliance.engine.types import ChatMessage, ChatPrompt, GenerationRequest, TextPrompt
from appliance.errors import ApplianceError, Conflict, RequestError, TooManySessions
from appliance.http.errors import status_of
from appliance.store.sessions import Sessions

MAX_ID_LENGTH = 128


class LegacyRequest(Sampling, kw_only=True, frozen=True):
    """The body of the original service's requests. Names may be in kebab case as well."""

    prompt: Annotated[str, Meta(min_length=1)]
    model_name: str | None = None
    session_id: str | None = None
    """Chosen by the client; a session with that id is created if there is none."""
    max_token: Tokens | None = None
    system_prompt: str | None = None
    device: DeviceName | None = None
    """Where the model should run. A response header warns if it runs elsewhere."""

    def requested_tokens(self) -> int | None:
        return self.max_token or self.max_tokens

    def turn(self) -> TurnIn:
        """As a turn of a session."""
        sampling = {name: getattr(self, name) for name in Sampling.__struct_fields__}
        sampling["max_tokens"] = self.requested_tokens()
        return TurnIn(
            content=self.prompt,
            model=self.model_name,
            device=self.device,
            system_prompt=self.system_prompt,
            **sampling,
        )


_OWN_FIELDS = {"model_name", "session_id", "max_token", "system_prompt", "device"}


def has_own_fields(fields: dict[str, msgspec.Raw]) -> bool:
    """Whether a body can only be the original service's."""
    return any(name.replace("-", "_") in _OWN_FIELDS or "-" in name for name in fields)


def legacy_request(fields: dict[str, msgspec.Raw], session_id: str = "") -> LegacyRequest:
    """Decode a body of the original service; `session_id` is used if it names none.

    Raises:
        RequestError: a field is wrong, unknown or there in both cases; `param` names it.
    """
    snake: dict[str, msgspec.Raw] = {}
    for name, value in fields.items():
        plain = name.replace("-", "_")
        if plain in snake:
            raise RequestError(f"{plain} is there twice", param=plain)
        snake[plain] = value
    request: LegacyRequest = decode_json(msgspec.json.encode(snake), LegacyRequest)
    if session_id and request.session_id is None:
        request = msgspec.structs.replace(request, session_id=session_id)
    if request.session_id is not None:
        _check_session_id(request.session_id)
    return request


def _check_session_id(session_id: str) -> None:
    fine = session_id.isascii() and session_id.isprintable() and not set(session_id) & set(" /?#%")
    if not fine or not 0 < len(session_id) <= MAX_ID_LENGTH:
        raise RequestError(
            f"session_id needs 1 to {MAX_ID_LENGTH} ASCII characters without spaces and /?#%",
            param="session_id",
        )


class LegacyApi:
    """Answers requests from clients of the original service."""

    def __init__(
        self, sessions: Sessions, replies: ReplyStarter, pool: Pool, limits: LimitsSettings
    ) -> None:
        self._sessions = sessions
        self._replies = replies
        self._pool = pool
        self._limits = limits

    # -- answers -----------------------------------------------------------------------------------

    def answer_chat(
        self, req: falcon.Request, resp: falcon.Response, fields: dict[str, msgspec.Raw]
    ) -> None:
        """A stream of plain text; a refusal is one as well, with the status that it has."""
        try:
            body = legacy_request(fields)
            reply = self._begin(body, req.context.caller)
            reply.wait_answered(streams.FIRST_EVENT_SECONDS)
        except ApplianceError as ex:
            resp.status = falcon.code_to_http_status(status_of(ex))
            resp.content_type = streams.MEDIA_TYPE
            resp.data = streams.text_event(error_text(ex.message))
            return
        self._warn(resp, body, None if isinstance(reply, Follower) else reply.accepted)
        if isinstance(reply, Follower):
            resp.set_header(DROPPED_MESSAGES, str(reply.dropped_messages))
        streams.send(req, resp, PlainTextStream(reply))

    def answer_text(
        self, req: falcon.Request, resp: falcon.Response, fields: dict[str, msgspec.Raw]
    ) -> None:
        """OpenAI's object for the whole reply.

        Raises:
            ApplianceError: it was refused, or failed.
        """
        body = legacy_request(fields)
        accepted = None
        if body.session_id is not None:
            resp.media = _completion_of(self._turn(body, body.session_id, req.context.caller))
        else:
            prompt = _chat(body) if body.system_prompt else TextPrompt(body.prompt)
            generation = self._generation(body, prompt, req.context.caller)
            encoder = TextEncoder(self._pool.find(body.model_name).id)
            resp.media = generation.run(encoder, req.env["appliance.on_disconnect"])
            accepted = generation.accepted
        self._warn(resp, body, accepted)

    # -- over a WebSocket --------------------------------------------------------------------------

    def begin_from_socket(self, text: str, client: SocketClient) -> PlainReply:
        """Begin the reply to a message of a client that offered no subprotocol.

        Raises:
            ApplianceError: it was refused.
        """
        client.count_request()
        return self._begin(legacy_request(decode_fields(text), client.session_id), client.caller)

    def read_turn(self, fields: dict[str, msgspec.Raw], session_id: str) -> UntypedTurn | None:
        """Read a message that has no `type`; None: it is not the original service's.

        Raises:
            RequestError: a field is wrong; `param` names it.
        """
        if "prompt" not in fields:
            return None
        body = legacy_request(fields, session_id)
        return UntypedTurn(body.session_id or "", partial(self._turn, body))

    # -- replies -----------------------------------------------------------------------------------

    def _begin(self, body: LegacyRequest, caller: Caller) -> PlainReply:
        """Begin the reply to a prompt, which is a turn of its session if it names one."""
        if body.session_id is not None:
            return self._turn(body, body.session_id, caller)
        return self._generation(body, _chat(body), caller).submit()

    def _generation(
        self, body: LegacyRequest, prompt: ChatPrompt | TextPrompt, caller: Caller
    ) -> Generation:
        self._check_lengths(body)
        model = self._pool.find(body.model_name)
        request = GenerationRequest(
            prompt=prompt,
            sampling=body.params(self._limits.max_response_tokens, model.spec.sampling),
            owner=caller.owner,
            caller=caller.key_name,
            device=body.device,
        )
        return Generation(model, [request])

    def _turn(self, body: LegacyRequest, session_id: str, caller: Caller) -> Follower:
        """Begin a turn in a session, which is created if there is none."""
        # Refuse what can be refused before a session is created for nothing.
        self._pool.find(body.model_name)
        self._check_lengths(body)
        if not body.prompt.strip():
            raise RequestError("the prompt is empty", param="prompt")
        try:
            self._sessions.create(session_id=session_id, system=body.system_prompt or "")
        except TooManySessions:
            raise
        except Conflict:
            pass  # it keeps the system message that it was created with
        return self._replies.turn(session_id, body.turn(), caller)

    def _check_lengths(self, body: LegacyRequest) -> None:
        most = self._limits.max_prompt_length
        check_length("prompt", len(body.prompt), most)
        check_length("system_prompt", len(body.system_prompt or ""), most)

    def _warn(self, resp: falcon.Response, body: LegacyRequest, accepted: Accepted | None) -> None:
        limit = ReplyLimit(body.requested_tokens(), self._limits.max_response_tokens)
        routing = self._pool.find(body.model_name).routing
        warn(resp, routing.warning_for(body.device), limit.warning(accepted))


def _chat(body: LegacyRequest) -> ChatPrompt:
    system = [ChatMessage("system", body.system_prompt)] if body.system_prompt else []
    return ChatPrompt([*system, ChatMessage("user", body.prompt)], parse_output=True)


def _completion_of(follower: Follower) -> TextCompletion:
    """Wait for the end of a session's reply; OpenAI's object of it."""
    events = streams.wait_for_events(follower)
    ended = next(event for event in events if isinstance(event, ReplyEnded))
    if ended.error:
        raise ended.error
    message, usage = ended.message, ended.message.usage
    reason = message.finish_reason or "stop"
    prompt, completion = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
    return TextCompletion(
        id=f"cmpl-{message.id}",
        object="text_completion",
        created=int(time.time()),
        model=message.model or "",
        system_fingerprint=None,
        choices=[
            TextChoice(
                index=0,
                text=message.content,
                logprobs=None,
                finish_reason="stop" if reason == "cancelled" else reason,
            )
        ],
        usage=CompletionUsage(
            prompt_tokens=prompt,
            completion_tokens=completion,
            total_tokens=prompt + completion,
            prompt_tokens_details=PromptTokensDetails(
                cached_tokens=usage.cached_tokens if usage else 0,
                # The store takes any text; the engine wrote this one just now.
                cached_from=cast(CachedFrom | None, usage.cached_from) if usage else None,
            ),
        ),
    )
