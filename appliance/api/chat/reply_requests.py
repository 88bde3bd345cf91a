"""Starts the replies that clients request over HTTP and WebSocket."""

from functools import partial

import msgspec

from appliance.api.chat.schemas import ReplyIn, TurnIn
from appliance.api.generation.sampling import ReplyLimit
from appliance.auth.keys.scopes import Caller
from appliance.chat.live_reply import Follower
from appliance.chat.turns import ReplyRequest, Turns
from appliance.engine.protocol import Accepted
from appliance.engine.serving.pool import Pool, ServedModel
from appliance.store.sessions import Sessions
from appliance.store.settings import NOTHING, DefaultProfile, Settings


class ReplyStarter:
    """Begins replies with the settings that a request gives; those that it omits come from the
    session, the default profile or the built-in defaults, in this order.

    Its methods raise what those of `Turns` raise.
    """

    def __init__(
        self,
        sessions: Sessions,
        profile: DefaultProfile,
        turns: Turns,
        pool: Pool,
        max_response_tokens: int,
    ) -> None:
        """`max_response_tokens`: see `[limits]`."""
        self._sessions = sessions
        self._profile = profile
        self._turns = turns
        self._pool = pool
        self._max_tokens = max_response_tokens

    def turn(
        self,
        session_id: str,
        body: TurnIn,
        caller: Caller,
        *,
        defaults: Settings = NOTHING,
        may_be_empty: bool = False,
        max_history_messages: int = 0,
    ) -> Follower:
        """Begin a turn.

        Args:
            session_id: of the chat.
            body: the message, and how to reply.
            caller: who sent it.
            defaults: what holds where neither the session nor the default profile says anything.
            may_be_empty: a message without a text is a turn as well.
            max_history_messages: as in `ReplyRequest`.
        """
        request = self._request(session_id, body, caller, defaults, max_history_messages)
        return self._turns.begin(
            session_id,
            request,
            body.content,
            body.parent_id,
            may_be_empty=may_be_empty,
            attachments=body.attachments,
        )

    def regenerate(
        self, session_id: str, message_id: str, body: ReplyIn, caller: Caller
    ) -> Follower:
        """Begin an alternative to a reply, or a reply to a message that has none."""
        request = self._request(session_id, body, caller)
        return self._turns.regenerate(session_id, message_id, request)

    def continue_reply(
        self, session_id: str, message_id: str, body: ReplyIn, caller: Caller
    ) -> Follower:
        """Continue a reply where it ends, with the same model unless another is named."""
        if body.model is None:
            written_by = self._sessions.message(message_id).model
            body = msgspec.structs.replace(body, model=written_by)
        request = self._request(session_id, body, caller)
        return self._turns.continue_reply(session_id, message_id, request)

    def _request(
        self,
        session_id: str,
        body: ReplyIn,
        caller: Caller,
        defaults: Settings = NOTHING,
        max_history_messages: int = 0,
    ) -> ReplyRequest:
        profile = self._profile.get()
        body = body.with_defaults(self._sessions.get(session_id).settings or NOTHING)
        system_prompt = body.system_prompt
        body = body.with_defaults(profile.over(defaults))
        model = self._pool.find(body.model)
        limit = ReplyLimit(body.requested_tokens(), self._max_tokens)
        return ReplyRequest(
            model=model.id,
            submit=model.submit,
            owner=caller.owner,
            caller=caller.key_name,
            device=body.device,
            warning=partial(_warning, model, body.device, limit),
            system_prompt=system_prompt,
            default_system_prompt=profile.system_prompt,
            sampling=body.params(self._max_tokens, model.spec.sampling),
            effort=body.reasoning_effort,
            max_history_messages=max_history_messages,
        )


def _warning(
    model: ServedModel, device: str | None, limit: ReplyLimit, accepted: Accepted
) -> str | None:
    """What differs from the request."""
    found = (model.routing.warning_for(device), limit.warning(accepted))
    return "; ".join(filter(None, found)) or None
