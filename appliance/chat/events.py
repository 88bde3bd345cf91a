"""The events that a reply's followers receive, while it is written and afterwards."""

from collections.abc import Callable

import msgspec

from appliance.chat.reply_text import ReplyText, TextDelta
from appliance.errors import ApplianceError, from_code
from appliance.store.sessions import Message, MessageUsage


class TurnBegan(msgspec.Struct, frozen=True):
    """The turn was accepted: the stored messages it is made of."""

    user: Message
    reply: Message
    dropped_messages: int


class TurnAccepted(msgspec.Struct, frozen=True):
    """The prompt fits: its length, the dropped messages, the seed."""

    prompt_tokens: int
    dropped_messages: int
    """Messages of the session that the model is not shown."""
    seed: int
    n_ctx: int | None
    """Tokens that the context holds; None: unknown."""
    warning: str | None
    """What differs from the request."""


class Waiting(msgspec.Struct, frozen=True):
    """The turn waits; its place in the queue, 1: it is the next."""

    place: int


class PromptProgress(msgspec.Struct, frozen=True):
    """How much of the prompt has been read, in tokens."""

    done: int
    total: int
    cached_tokens: int
    cached_from: str | None


class ReplyUsage(msgspec.Struct, frozen=True):
    """Tokens and times of a finished reply."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    tokens_per_second: float
    """While it was written; 0 of a reply without a second token."""


class ReplyEnded(msgspec.Struct, frozen=True):
    """The reply as it was stored; with the error if it failed. Nothing follows."""

    message: Message
    error: ApplianceError | None = None


LiveEvent = (
    TurnBegan | TurnAccepted | Waiting | PromptProgress | TextDelta | ReplyUsage | ReplyEnded
)


def usage_of(usage: MessageUsage) -> ReplyUsage:
    """The stored usage, as followers receive it."""
    # The first token is prefill's; decoding made the others.
    made = usage.completion_tokens - 1
    speed = made / usage.decode_seconds if made > 0 and usage.decode_seconds > 0 else 0.0
    return ReplyUsage(
        usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, round(speed, 2)
    )


class StoredFollower:
    """A reader of a reply that has ended: gets the same events as a `Follower`, all at once."""

    wake: Callable[[], None]
    """Never called: there is no news."""

    def __init__(self, message: Message, start: int) -> None:
        """`start`: the offset to begin with."""
        self._message = message
        self._start = start
        self._taken = False

    @property
    def session_id(self) -> str:
        """Whose reply it is."""
        return self._message.session_id

    @property
    def message_id(self) -> str:
        """The reply."""
        return self._message.id

    def take(self) -> list[LiveEvent]:
        """All of it, once."""
        if self._taken:
            return []
        self._taken = True
        message = self._message
        events: list[LiveEvent] = []
        events += ReplyText(message.content, message.reasoning).after(self._start)
        if message.usage:
            events.append(usage_of(message.usage))
        failed = message.error
        error = from_code(failed.code, failed.message) if failed else None
        return [*events, ReplyEnded(message, error)]

    def close(self) -> None:
        """Receive no more."""
