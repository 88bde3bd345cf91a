"""One chat turn: the message is stored, the prompt submitted, the reply in flight."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from appliance.chat.events import StoredFollower
from appliance.chat.live_reply import Follower
from appliance.chat.reply_writer import ReplyWriter
from appliance.engine.protocol import Accepted, EventSink, Failed
from appliance.engine.types import (
    AttachedText,
    ChatMessage,
    ChatPrompt,
    GenerationRequest,
    SamplingParams,
)
from appliance.errors import (
    ApplianceError,
    MessageNotFound,
    NotFound,
    ReplyInProgress,
    RequestError,
)
from appliance.store.sessions import USE_LEAF, Attachment, Message, Sent, Sessions

Submit = Callable[[GenerationRequest, EventSink], Callable[[], None]]
"""Has a prompt completed by a model; returns what cancels it."""

MOST_ATTACHED = 2_000_000
"""Characters of a message's attachments that the model's process gets; no context holds more."""
STOP_SECONDS = 10.0
"""How long a reply that was stopped may take to end: the step that the model is at, above all."""


class ReplyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """How a reply is to be made."""

    model: str
    """The model's id, and what has it complete a prompt."""
    submit: Submit
    warning: Callable[[Accepted], str | None] = lambda _: None
    """What differs from the request."""
    system_prompt: str | None = None
    default_system_prompt: str | None = None
    """Where the chat has no system message of its own either."""
    sampling: SamplingParams
    owner: str = ""
    caller: str = ""
    device: str | None = None
    """As in `GenerationRequest`."""
    effort: str | None = None
    """How much to think before the answer, as in `ChatPrompt`; ignored by models that can't."""
    max_history_messages: int = 0
    """The newest messages that the model is given, at most; 0: as many as its context holds."""


class SentPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """What a stored reply was the reply to."""

    reply: Message
    known: bool
    """The system prompt and what was left out were stored with the reply; otherwise they are
    what they would be now."""
    system: str | None
    messages: Sequence[Message]
    """Those of the chat that the model was given."""
    left_out: Sequence[Message]
    """Those that it was not."""
    prompt: ChatPrompt
    """`system`, `messages`, and what there was of the reply if it was continued."""


class Turns:
    """Begins, follows and stops replies. Thread-safe.

    What begins one raises an ApplianceError: nothing was stored when it is the request's fault or
    the session is busy; otherwise all is stored, and the reply as failed. The engine may still
    refuse it: `Follower.wait_answered` raises then.
    """

    def __init__(
        self,
        sessions: Sessions,
        live: ReplyWriter,
        *,
        max_prompt_length: int,
        on_delete: Callable[[], None],
        text_of: Callable[[Attachment], str] = lambda _: "",
    ) -> None:
        """`max_prompt_length` (characters): see `[limits]`.

        `on_delete` is called when a session was deleted; `text_of` reads an attachment, or raises
        NotFound.
        """
        self._text_of = text_of
        self._on_delete = on_delete
        self._sessions = sessions
        self._live = live
        self._max_prompt_length = max_prompt_length

    def begin(
        self,
        session_id: str,
        request: ReplyRequest,
        content: str,
        parent_id: str | msgspec.UnsetType | None = USE_LEAF,
        *,
        may_be_empty: bool = False,
        attachments: Sequence[str] = (),
    ) -> Follower:
        """Store the message, submit the turn, and return a follower from the turn's beginning.

        Args:
            session_id: of the chat.
            request: how to reply.
            content: of the message.
            parent_id: the message it follows; unset: the session's leaf; None: a new beginning.
            may_be_empty: a message without a text is a turn as well.
            attachments: ids of what the message has with it.
        """
        if not (may_be_empty or attachments or content.strip()):
            raise RequestError("the message is empty", param="content")
        if len(content) > self._max_prompt_length:
            raise RequestError(
                f"the message has {len(content)} characters, "
                f"at most {self._max_prompt_length} are allowed",
                param="content",
            )
        self._live.check_saved(session_id)
        user, reply = self._sessions.begin_turn(
            session_id, content, parent_id, request.model, attachments, request.owner
        )
        return self._reply(user, reply, request)

    def regenerate(self, session_id: str, message_id: str, request: ReplyRequest) -> Follower:
        """Another reply beside `message_id`, which stays; to a message that is no reply, one."""
        self._live.check_saved(session_id)
        user, reply = self._sessions.begin_reply(session_id, message_id, request.model)
        return self._reply(user, reply, request)

    def continue_reply(self, session_id: str, message_id: str, request: ReplyRequest) -> Follower:
        """Continue a reply where it ends, whether or not it is complete."""
        self._live.check_saved(session_id)
        user, reply = self._sessions.resume_reply(session_id, message_id, request.model)
        return self._reply(user, reply, request)

    def _reply(self, user: Message, reply: Message, request: ReplyRequest) -> Follower:
        live = self._live.begin(user, reply)
        follower = live.follow(from_turn=True)
        try:
            history = self._sessions.path(reply.session_id, user.id)
            system, rest = _split(history)
            live.warning = request.warning
            if request.max_history_messages:
                live.dropped_messages = left_out(len(rest), request.max_history_messages)
            kept = rest[live.dropped_messages :]
            system = request.system_prompt or system or request.default_system_prompt
            live.sent = Sent(
                system=system,
                left_out=live.dropped_messages,
                begun=_lengths(reply),
                effort=request.effort,
            )
            generation = GenerationRequest(
                prompt=_prompt(system, kept, reply, request.effort, self._text_of),
                sampling=request.sampling,
                session=reply.session_id,
                owner=request.owner,
                caller=request.caller,
                device=request.device,
            )
            cancel = request.submit(generation, live.on_event)
        except ApplianceError as ex:
            live.on_event(Failed(0, ex.code, ex.message, ex.param))
            raise
        live.submitted(cancel)
        return follower

    def sent(
        self, session_id: str, message_id: str, default_system: Callable[[], str | None]
    ) -> "SentPrompt":
        """What a stored reply was the reply to, as far as it is known by now.

        `default_system` gives the system prompt to assume if that is not known.

        Raises:
            SessionNotFound, MessageNotFound: unknown ids.
            RequestError: it is no reply.
        """
        *history, reply = self._sessions.path(session_id, message_id)
        if reply.role != "assistant":
            raise RequestError("This message is no reply.", param="message_id")
        known = self._sessions.sent(message_id)
        system, rest = _split(history)
        sent = known or Sent(system=system or default_system(), begun=None)
        begun = sent.begun or (0, 0)
        before = msgspec.structs.replace(
            reply, content=reply.content[: begun[0]], reasoning=reply.reasoning[: begun[1]]
        )
        dropped = reply.usage.dropped_messages if reply.usage else sent.left_out
        given = [each for each in rest[sent.left_out :] if _has_text(each, rest)]
        given = given[max(0, dropped - sent.left_out) :]
        ids = {each.id for each in given}
        return SentPrompt(
            reply=reply,
            known=known is not None,
            system=sent.system,
            messages=given,
            left_out=[each for each in rest if each.id not in ids],
            prompt=_prompt(sent.system, given, before, sent.effort, self._text_of),
        )

    def follow(
        self, session_id: str, start: int, message_id: str | None = None
    ) -> Follower | StoredFollower:
        """Follow a reply from the offset `start` on: the one in flight, or that message.

        A message that is complete by now is read from the store, so that a client that reconnects
        late misses nothing.

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
        """End the reply in flight, if there is one; its text so far is kept.

        Raises:
            SessionNotFound: there is no such session.
        """
        self._sessions.get(session_id)
        try:
            self._live.of_session(session_id).stop()
        except NotFound:
            return

    def stop_and_wait(self, session_id: str) -> None:
        """End the reply in flight, as `stop` does, and wait until it is stored.

        Raises:
            SessionNotFound: there is no such session.
            ReplyInProgress: it takes too long.
        """
        self._sessions.get(session_id)
        try:
            live = self._live.of_session(session_id)
        except NotFound:
            return
        live.stop()
        if not live.wait_over(STOP_SECONDS):
            raise ReplyInProgress("The running reply was stopped, but has not ended yet.")

    def delete(self, session_id: str) -> None:
        """Delete a session, as `Sessions.delete` does; a reply in flight is stopped.

        Raises:
            SessionNotFound: there is no such session.
        """
        self._sessions.delete(session_id)
        # Afterwards, so that followers of the reply see that it is gone, and not that it ended
        # well. By now there may be another session of that id, whose reply goes on.
        with suppress(NotFound):
            live = self._live.of_session(session_id)
            try:
                self._sessions.message(live.reply.id)
            except MessageNotFound:
                live.stop()
        self._on_delete()


def left_out(count: int, most: int) -> int:
    """How many of the oldest of `count` messages the model is not given, so that at most `most`
    remain.

    A window that slid with every turn would begin elsewhere each time, and all that the model has
    read would be worth nothing. So it stands still for many turns and then moves by half its size.
    By an even number: a question and its answer go together. The last message always stays.
    """
    if count <= most:
        return 0
    step = max(2, most // 4 * 2)
    return min(-(-(count - most) // step) * step, count - 1)


def _split(history: Sequence[Message]) -> tuple[str | None, Sequence[Message]]:
    """The branch's system message, and the rest."""
    if history and history[0].role == "system":
        return history[0].content, history[1:]
    return None, history


def _prompt(
    system_prompt: str | None,
    history: Sequence[Message],
    reply: Message,
    effort: str | None,
    text_of: Callable[[Attachment], str],
) -> ChatPrompt:
    """`reply`: what there is of it already."""
    # A reply that failed before its first token is empty, and templates want roles to alternate.
    messages = [_to_engine(message, text_of) for message in history if _has_text(message, history)]
    if system_prompt:
        messages.insert(0, ChatMessage("system", system_prompt))
    goes_on = bool(reply.content or reply.reasoning)
    if goes_on:
        messages.append(_to_engine(reply, text_of))
    return ChatPrompt(
        messages,
        parse_output=True,
        continue_final=goes_on,
        trim=True,
        effort=effort,
        effort_is_wish=True,
    )


def _has_text(message: Message, history: Sequence[Message]) -> bool:
    """Whether the model is given it; a question may be empty."""
    has_text = bool(message.content or message.attachments)
    return has_text or (message.role == "user" and message is history[-1])


def _lengths(reply: Message) -> tuple[int, int] | None:
    """What there is of a reply when it is continued; None: nothing."""
    lengths = (len(reply.content), len(reply.reasoning))
    return lengths if any(lengths) else None


def _to_engine(message: Message, text_of: Callable[[Attachment], str]) -> ChatMessage:
    attached = None
    if message.attachments:
        most = MOST_ATTACHED // len(message.attachments)
        attached = [
            AttachedText(it.name, text_of(it)[:most], it.characters) for it in message.attachments
        ]
    return ChatMessage(
        message.role,
        message.content,
        reasoning_content=message.reasoning or None,
        attached=attached,
    )
