"""Replies, as HTTP and WebSocket ask for them."""

import copy
from functools import partial

import msgspec

from appliance.api.chat.schemas import ReplyIn, TurnIn
from appliance.auth.keys.scopes import Caller
from appliance.chat.live_reply import Follower
from appliance.chat.turns import ReplyRequest, Turns
from appliance.engine.pool import Pool
from appliance.store.sessions import Sessions
from appliance.store.settings import NOTHING, Profile

FIRST_WORD_SECONDS = 10.0
"""How long a status line waits for the engine's first word before the stream begins without it; a
model that is still loading takes longer."""


class Asking:
    """Has replies begun as requests say, and where they say nothing, the session's settings, the
    default profile and what is built in, in this order.

    What its methods raise: see `Turns`.
    """

    def __init__(
        self,
        sessions: Sessions,
        profile: Profile,
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
        self._caller = Caller(name="", address="")

    def of(self, caller: Caller) -> "Asking":
        """The same, for what one caller asks."""
        asking = copy.copy(self)
        asking._caller = caller  # noqa: SLF001 - one of our own
        return asking

    def turn(self, session_id: str, body: TurnIn) -> Follower:
        """Begin a turn."""
        request = self._request(session_id, body)
        return self._turns.begin(session_id, request, body.content, body.parent_id)

    def regenerate(self, session_id: str, message_id: str, body: ReplyIn) -> Follower:
        """Begin another reply beside this one, or one to a message that has none."""
        request = self._request(session_id, body)
        return self._turns.regenerate(session_id, message_id, request)

    def go_on(self, session_id: str, message_id: str, body: ReplyIn) -> Follower:
        """Have a reply go on, by the same model unless another is named."""
        if body.model is None:
            written_by = self._sessions.message(message_id).model
            body = msgspec.structs.replace(body, model=written_by)
        request = self._request(session_id, body)
        return self._turns.go_on(session_id, message_id, request)

    def _request(self, session_id: str, body: ReplyIn) -> ReplyRequest:
        profile = self._profile.get()
        body = body.over(self._sessions.get(session_id).settings or NOTHING)
        system_prompt = body.system_prompt
        body = body.over(profile)
        model = self._pool.find(body.model)
        return ReplyRequest(
            model=model.id,
            submit=partial(
                model.submit,
                caller=self._caller.key_name,
                owner=self._caller.owner,
                device=body.device,
            ),
            warning=partial(model.place.warning_for, body.device),
            system_prompt=system_prompt,
            default_system_prompt=profile.system_prompt,
            sampling=body.params(self._max_tokens),
        )
