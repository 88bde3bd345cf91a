"""Requests of the original service's clients: one prompt, optionally in a session."""

import time
from functools import partial
from typing import cast

import falcon
import msgspec

from appliance.api.chat.reply_requests import ReplyStarter
from appliance.api.chat.socket import SocketClient, UntypedTurn
from appliance.api.dialects.legacy.plain_text import PlainReply, PlainTextStream
from appliance.api.dialects.legacy.schemas import DEFAULTS, LegacyRequest, legacy_request
from appliance.api.dialects.openai.answers import (
    CompletionUsage,
    PromptTokensDetails,
    TextChoice,
    TextCompletion,
)
from appliance.api.dialects.openai.encoder import TextEncoder
from appliance.api.generation.request import Generation
from appliance.api.generation.sampling import ReplyLimit
from appliance.api.wire import streams
from appliance.api.wire.bodies import check_length, decode_fields
from appliance.api.wire.headers import DROPPED_MESSAGES, warn
from appliance.auth.keys.scopes import Caller
from appliance.chat.events import ReplyEnded
from appliance.chat.live_reply import Follower
from appliance.chat.turns import Turns
from appliance.config.schema import LimitsSettings
from appliance.engine.protocol import Accepted, CachedFrom
from appliance.engine.serving.model_names import is_missing
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.engine.types import ChatPrompt, GenerationRequest, TextPrompt
from appliance.errors import (
    ApplianceError,
    Conflict,
    ReplyInProgress,
    SessionNotFound,
    TooManySessions,
)
from appliance.store.sessions import ClientId, Sessions

STOP_TRIES = 20
"""How often a prompt stops the reply before it, which another prompt may have begun meanwhile."""


class LegacyApi:
    """Answers requests from clients of the original service."""

    def __init__(
        self,
        sessions: Sessions,
        turns: Turns,
        replies: ReplyStarter,
        pool: Pool,
        limits: LimitsSettings,
    ) -> None:
        self._sessions = sessions
        self._turns = turns
        self._replies = replies
        self._pool = pool
        self._limits = limits

    # -- answers -----------------------------------------------------------------------------------

    def answer_chat(
        self, req: falcon.Request, resp: falcon.Response, fields: dict[str, msgspec.Raw]
    ) -> None:
        """A stream of plain text.

        Raises:
            ApplianceError: it was refused.
        """
        body = legacy_request(fields)
        self._send(req, resp, body, self._begin(body, req.context.caller))

    def answer_text(
        self, req: falcon.Request, resp: falcon.Response, fields: dict[str, msgspec.Raw]
    ) -> None:
        """OpenAI's object for the whole reply, or a stream of plain text.

        Raises:
            ApplianceError: it was refused, or failed.
        """
        body = legacy_request(fields)
        caller: Caller = req.context.caller
        on_disconnect = req.env["appliance.on_disconnect"]
        if body.session_id is not None:
            follower = self._turn(body, body.session_id, caller)
            if body.stream:
                self._send(req, resp, body, follower)
                return
            on_disconnect(follower.stop)
            resp.media = _completion_of(follower)
            self._warn(resp, body, None)
            return
        as_chat = body.system_prompt or not body.prompt
        prompt = _chat(body) if as_chat else TextPrompt(body.prompt)
        generation = self._generation(body, prompt, caller)
        if body.stream:
            self._send(req, resp, body, generation.submit())
            return
        encoder = TextEncoder(self._model(body).id)
        resp.media = generation.run(encoder, on_disconnect)
        self._warn(resp, body, generation.accepted)

    def _send(
        self, req: falcon.Request, resp: falcon.Response, body: LegacyRequest, reply: PlainReply
    ) -> None:
        reply.wait_answered(streams.FIRST_EVENT_SECONDS)
        self._warn(resp, body, None if isinstance(reply, Follower) else reply.accepted)
        if isinstance(reply, Follower):
            resp.set_header(DROPPED_MESSAGES, str(reply.dropped_messages))
        streams.send(req, resp, PlainTextStream(reply))

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
        model = self._model(body)
        sampling = body.with_defaults()
        request = GenerationRequest(
            prompt=prompt,
            sampling=sampling.params(self._limits.max_response_tokens, model.spec.sampling),
            owner=caller.owner,
            caller=caller.key_name,
            device=body.device,
        )
        return Generation(model, [request])

    def _turn(self, body: LegacyRequest, client_id: str, caller: Caller) -> Follower:
        """Begin a turn in a session, which is created if there is none. A reply that is being
        written in it is stopped first."""
        # Refuse what can be refused before a session is created for nothing.
        model = self._model(body)
        self._check_lengths(body)
        client = ClientId(client_id, caller.key_id or "")
        turn = msgspec.structs.replace(body.turn(), model=model.id if body.model_name else None)
        for _ in range(STOP_TRIES):
            session_id = self._session(client, body.system_prompt or "")
            try:
                self._turns.stop_and_wait(session_id)
                return self._replies.turn(
                    session_id,
                    turn,
                    caller,
                    defaults=DEFAULTS,
                    may_be_empty=True,
                    max_history_messages=self._limits.max_history_messages,
                )
            except (ReplyInProgress, SessionNotFound) as ex:
                # Another prompt was quicker, or a deletion.
                refused: ApplianceError = ex
        raise refused

    def _session(self, client: ClientId, system: str) -> str:
        """The id of the client's session, with the system message that it was created with."""
        try:
            return self._sessions.id_of_client(client)
        except SessionNotFound:
            pass
        try:
            return self._sessions.create(system=system, client=client).id
        except TooManySessions:
            raise
        except Conflict:
            return self._sessions.id_of_client(client)

    def _model(self, body: LegacyRequest) -> ServedModel:
        """The model that answers: the named one, or what stands in for those that are not here."""
        named = self._pool.find(body.model_name)
        meanwhile = self._pool.find(None)
        if named is not meanwhile and meanwhile.spec.stands_in and is_missing(named):
            return meanwhile
        return named

    def _check_lengths(self, body: LegacyRequest) -> None:
        most = self._limits.max_prompt_length
        check_length("prompt", len(body.prompt), most)
        check_length("system_prompt", len(body.system_prompt or ""), most)
        check_length("messages", sum(len(m.content) for m in body.messages), 2 * most)

    def _warn(self, resp: falcon.Response, body: LegacyRequest, accepted: Accepted | None) -> None:
        limit = ReplyLimit(body.requested_tokens(), self._limits.max_response_tokens)
        model = self._model(body)
        named = self._pool.find(body.model_name) if body.model_name else model
        warn(
            resp,
            body.warning,
            None if model is named else f"{named.name} is not downloaded; {model.name} answers",
            model.routing.warning_for(body.device),
            limit.warning(accepted),
        )


def _chat(body: LegacyRequest) -> ChatPrompt:
    return ChatPrompt(body.chat(), parse_output=True)


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
