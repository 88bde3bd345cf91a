"""One chat turn: the person's message is stored, the engine is asked, the reply is in flight."""

from collections.abc import Callable, Sequence

import msgspec

from appliance.chat.events import StoredFollower
from appliance.chat.live import Follower
from appliance.chat.replies import LiveReplies
from appliance.engine.protocol import ChatMessage, ChatPrompt, Failed, Prompt, SamplingParams
from appliance.engine.requests import Sink
from appliance.errors import ApplianceError, NotFound, RequestError
from appliance.store.sessions import USE_LEAF, Message, Sessions

Submit = Callable[[Prompt, SamplingParams, Sink, str | None], Callable[[], None]]
"""Has a prompt of a session completed by a model; returns what cancels it."""


class TurnRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks."""

    content: str
    parent_id: str | msgspec.UnsetType | None = USE_LEAF
    """The message it follows; unset: the session's leaf; None: a new beginning."""
    system_prompt: str | None = None
    sampling: SamplingParams


class Turns:
    """Begins, follows and stops turns. Thread-safe."""

    def __init__(
        self,
        sessions: Sessions,
        live: LiveReplies,
        *,
        max_history_messages: int,
        max_prompt_length: int,
        on_delete: Callable[[str], None],
    ) -> None:
        """`max_history_messages` and `max_prompt_length` (characters): see `[limits]`.

        `on_delete` is told the id of a session that was deleted.
        """
        self._sessions = sessions
        self._live = live
        self._max_history = max_history_messages
        self._max_prompt_length = max_prompt_length
        self._on_delete = on_delete

    def begin(self, session_id: str, model: str, submit: Submit, request: TurnRequest) -> Follower:
        """Store the message, submit the turn, and return a follower from the turn's beginning.

        The engine may still refuse it: `Follower.wait_answered` tells.

        Raises:
            ApplianceError: nothing was stored when it is the request's fault or the session is
                busy; otherwise the message is stored, and its reply as failed.
        """
        if not request.content.strip():
            raise RequestError("the message is empty", param="content")
        if len(request.content) > self._max_prompt_length:
            raise RequestError(
                f"the message has {len(request.content)} characters, "
                f"at most {self._max_prompt_length} are allowed",
                param="content",
            )
        user, reply = self._sessions.begin_turn(
            session_id, request.content, request.parent_id, model
        )
        live = self._live.begin(user, reply)
        follower = live.follow(from_turn=True)
        try:
            history = self._sessions.path(session_id, user.id)
            kept = history[-self._max_history :]
            live.dropped_messages = len(history) - len(kept)
            cancel = submit(
                _prompt(kept, request.system_prompt), request.sampling, live.take, session_id
            )
        except ApplianceError as ex:
            live.take(Failed(0, ex.code, ex.message, ex.param))
            raise
        live.submitted(cancel)
        return follower

    def follow(
        self, session_id: str, start: int, message_id: str | None = None
    ) -> Follower | StoredFollower:
        """Follow a reply from the character `start` on: the one under way, or that message.

        A message that is complete by now is told from the store, so that who comes back late
        misses nothing.

        Raises:
            SessionNotFound: there is no such session.
            NotFound: nothing is being written in it, or it has no such reply.
        """
        self._sessions.get(session_id)
        try:
            live = self._live.of_session(session_id)
        except NotFound:
            if message_id is None:
                raise
        else:
            if message_id in (None, live.reply.id):
                return live.follow(start)
        assert message_id is not None
        message = self._sessions.message(message_id)
        if message.session_id != session_id or message.role != "assistant":
            raise NotFound(f"there is no reply {message_id!a} in this session", param="message_id")
        return StoredFollower(message, start)

    def stop(self, session_id: str) -> None:
        """End the reply under way, if there is one; its text so far is kept.

        Raises:
            SessionNotFound: there is no such session.
        """
        self._sessions.get(session_id)
        try:
            self._live.of_session(session_id).stop()
        except NotFound:
            return

    def delete(self, session_id: str) -> None:
        """Delete a session; a reply under way is stopped and not written.

        Raises:
            SessionNotFound: there is no such session.
        """
        self.stop(session_id)
        self._sessions.delete(session_id)
        self._on_delete(session_id)


def _prompt(history: Sequence[Message], system_prompt: str | None) -> ChatPrompt:
    # A reply that failed before its first word says nothing, and templates want roles to alternate.
    said = [m for m in history if m.content and not (system_prompt and m.role == "system")]
    messages = [ChatMessage(m.role, m.content) for m in said]
    if system_prompt:
        messages.insert(0, ChatMessage("system", system_prompt))
    return ChatPrompt(messages, trim=True)
