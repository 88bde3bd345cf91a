"""Requests as clients of the original service make them: one prompt, perhaps of a session."""

import threading
import time
from typing import Annotated, Any

import falcon
import msgspec
from msgspec import Meta

from appliance.api.chat.reply_requests import FIRST_WORD_SECONDS, Asking
from appliance.api.chat.schemas import TurnIn
from appliance.api.generation.request import Completion
from appliance.api.legacy.plain_text import (
    LooseReply,
    PlainReply,
    PlainStream,
    SessionReply,
    error_text,
)
from appliance.api.openai.encoder import Reply, TextShape
from appliance.api.wire import streams
from appliance.api.wire.bodies import Sampling, Tokens, decode_json
from appliance.auth.keys.scopes import Caller
from appliance.chat.events import ReplyEnded
from appliance.chat.live_reply import Follower
from appliance.config.schema import Device, Limits
from appliance.engine.pool import Pool
from appliance.engine.types import ChatMessage, ChatPrompt, TextPrompt
from appliance.errors import ApplianceError, Conflict, RequestError, TooManySessions
from appliance.http.errors import status_of
from appliance.store.sessions import Sessions

MAX_ID_LENGTH = 128


class OriginalRequest(Sampling, kw_only=True, frozen=True):
    """The body of the original service's requests. Names may be in kebab case as well."""

    prompt: Annotated[str, Meta(min_length=1)]
    model_name: str | None = None
    session_id: str | None = None
    """Made by the client; a session of that id is made if there is none."""
    max_token: Tokens | None = None
    system_prompt: str | None = None
    device: Device | None = None
    """Where the model should run; one that runs elsewhere answers with a warning."""

    def wanted_tokens(self) -> int | None:
        return self.max_token or self.max_tokens

    def turn(self) -> TurnIn:
        """As a turn of a session."""
        sampling = {name: getattr(self, name) for name in Sampling.__struct_fields__}
        sampling["max_tokens"] = self.wanted_tokens()
        return TurnIn(
            content=self.prompt,
            model=self.model_name,
            device=self.device,
            system_prompt=self.system_prompt,
            **sampling,
        )


_OWN_FIELDS = {"model_name", "session_id", "max_token", "system_prompt", "device"}


def fields_of(body: bytes | str) -> dict[str, msgspec.Raw]:
    """The fields of a JSON object. Raises RequestError: it is none."""
    found: dict[str, msgspec.Raw] = decode_json(body, dict[str, msgspec.Raw])
    return found


def has_own_fields(fields: dict[str, msgspec.Raw]) -> bool:
    """Whether a body can only be the original service's."""
    return any(name.replace("-", "_") in _OWN_FIELDS or "-" in name for name in fields)


def original_request(fields: dict[str, msgspec.Raw], session_id: str = "") -> OriginalRequest:
    """The body as the original service's; `session_id` is meant where it names none.

    Raises:
        RequestError: a field is wrong, unknown or there in both cases; `param` names it.
    """
    snake: dict[str, msgspec.Raw] = {}
    for name, value in fields.items():
        plain = name.replace("-", "_")
        if plain in snake:
            raise RequestError(f"{plain} is there twice", param=plain)
        snake[plain] = value
    request: OriginalRequest = decode_json(msgspec.json.encode(snake), OriginalRequest)
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


class Original:
    """Answers what clients of the original service ask."""

    def __init__(self, sessions: Sessions, asking: Asking, pool: Pool, limits: Limits) -> None:
        self._sessions = sessions
        self._asking = asking
        self._pool = pool
        self._limits = limits

    def begin(self, body: OriginalRequest, caller: Caller) -> PlainReply:
        """Begin the reply to a prompt, which is a turn of its session if it names one.

        Raises:
            ApplianceError: it was refused.
        """
        if body.session_id is not None:
            return SessionReply(self.turn(body, body.session_id, caller))
        self._check_length(body.prompt)
        reply = LooseReply()
        sampling = body.params(self._limits.max_response_tokens)
        model = self._pool.find(body.model_name)
        cancel = model.submit(
            _chat(body),
            sampling,
            reply.sink,
            caller=caller.key_name,
            owner=caller.owner,
            device=body.device,
        )
        reply.submitted(cancel)
        return reply

    def answer_chat(
        self, req: falcon.Request, resp: falcon.Response, fields: dict[str, msgspec.Raw]
    ) -> None:
        """A stream of plain text; a refusal is one as well, with the status that it has."""
        try:
            body = original_request(fields)
            reply = self.begin(body, req.context.caller)
            reply.wait_answered(FIRST_WORD_SECONDS)
        except ApplianceError as ex:
            resp.status = falcon.code_to_http_status(status_of(ex))
            resp.content_type = streams.MEDIA_TYPE
            resp.data = streams.plain(error_text(ex.message))
            return
        self._warn(resp, body)
        if body.session_id is not None:
            resp.set_header("X-Appliance-Dropped-Messages", str(reply.dropped_messages))
        streams.send(req, resp, PlainStream(reply))

    def answer_text(
        self, req: falcon.Request, resp: falcon.Response, fields: dict[str, msgspec.Raw]
    ) -> dict[str, Any]:
        """OpenAI's object for the whole reply.

        Raises:
            ApplianceError: it was refused, or failed.
        """
        body = original_request(fields)
        if body.session_id is not None:
            found = _whole(self.turn(body, body.session_id, req.context.caller))
        else:
            self._check_length(body.prompt)
            found = Completion(
                self._pool.find(body.model_name),
                [_chat(body) if body.system_prompt else TextPrompt(body.prompt)],
                body.params(self._limits.max_response_tokens),
                TextShape(),
                caller=req.context.caller,
                device=body.device,
            ).run(req.env["appliance.on_disconnect"])
        self._warn(resp, body)
        return found

    def turn(self, body: OriginalRequest, session_id: str, caller: Caller) -> Follower:
        """Begin the turn that a prompt is, in a session that is made if there is none.

        Raises:
            ApplianceError: it was refused.
        """
        # What can be refused is, before a session is made for nothing.
        self._pool.find(body.model_name)
        self._check_length(body.prompt)
        if not body.prompt.strip():
            raise RequestError("the prompt is empty", param="prompt")
        try:
            self._sessions.create(session_id=session_id, system=body.system_prompt or "")
        except TooManySessions:
            raise
        except Conflict:
            pass  # what a chat began with stays its system message
        return self._asking.of(caller).turn(session_id, body.turn())

    def _check_length(self, prompt: str) -> None:
        longest = self._limits.max_prompt_length
        if len(prompt) > longest:
            raise RequestError(
                f"prompt has {len(prompt)} characters, at most {longest} are allowed",
                param="prompt",
            )

    def _warn(self, resp: falcon.Response, body: OriginalRequest) -> None:
        told = self._pool.find(body.model_name).place.warning_for(body.device)
        if told:
            resp.set_header("X-Appliance-Warning", told.encode("ascii", "replace").decode())


def _chat(body: OriginalRequest) -> ChatPrompt:
    system = [ChatMessage("system", body.system_prompt)] if body.system_prompt else []
    return ChatPrompt([*system, ChatMessage("user", body.prompt)], understand=True)


def _whole(follower: Follower) -> dict[str, Any]:
    """Wait for the end of a session's reply; OpenAI's object of it."""
    news = threading.Event()
    follower.wake = news.set
    ended = None
    while ended is None:
        ended = next((it for it in follower.take() if isinstance(it, ReplyEnded)), None)
        if ended is None:
            news.wait()
            news.clear()
    if ended.error:
        raise ended.error
    message, usage = ended.message, ended.message.usage
    shape = TextShape()
    reason = message.finish_reason or "stop"
    reply = Reply(text=message.content, reason="stop" if reason == "cancelled" else reason)
    tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (0, 0)
    return {
        "id": shape.id_prefix + message.id,
        "object": shape.whole_name,
        "created": int(time.time()),
        "model": message.model,
        "system_fingerprint": None,
        "choices": [shape.whole(0, reply)],
        "usage": {
            "prompt_tokens": tokens[0],
            "completion_tokens": tokens[1],
            "total_tokens": sum(tokens),
            "prompt_tokens_details": {
                "cached_tokens": usage.cached_tokens if usage else 0,
                "cached_from": usage.cached_from if usage else None,
            },
        },
    }


def timed(whole: dict[str, Any], seconds: float) -> dict[str, Any]:
    """OpenAI's object of a text completion, and the original service's fields in it."""
    tokens = whole["usage"]["completion_tokens"]
    return {
        **whole,
        "text": whole["choices"][0]["text"],
        "tokens": tokens,
        "duration_seconds": round(seconds, 4),
        "tokens_per_second": round(tokens / seconds, 2) if seconds > 0 else 0.0,
    }
