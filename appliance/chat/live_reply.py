"""A reply in flight: the text so far, and its followers.

A reply belongs to its session, not to a connection. Followers come and go, at any offset of the
text. The engine's thread adds to it and must not wait for anybody.
"""

import threading
from collections.abc import Callable

import msgspec

from appliance.chat.events import (
    LiveEvent,
    PromptProgress,
    ReplyEnded,
    TurnAccepted,
    TurnBegan,
    Waiting,
    usage_of,
)
from appliance.chat.reply_text import ReplyText
from appliance.engine.protocol import (
    Accepted,
    Delta,
    Failed,
    Finished,
    Prefill,
    Queued,
    SequenceEvent,
)
from appliance.errors import (
    ApplianceError,
    MessageNotFound,
    ShuttingDown,
    StoreError,
    WorkerDied,
    from_code,
)
from appliance.store.sessions import (
    DroppedBy,
    FinalStatus,
    Message,
    MessageError,
    MessageUsage,
    Sent,
    Sessions,
)

_INTERRUPTIONS = (WorkerDied, ShuttingDown)
"""Errors that are not the reply's fault: it can be continued from where it is."""


class LiveReply:
    """One reply being written. Thread-safe."""

    def __init__(
        self, user: Message, reply: Message, on_end: "Callable[[LiveReply], None]"
    ) -> None:
        """`user`: what is replied to; `reply`: what there is of it already, if it is continued.

        `on_end` is called on the engine's thread after the terminal event.
        """
        self.user = user
        self.reply = reply
        self._on_end = on_end
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._over = threading.Event()
        self._text = ReplyText(reply.content, reply.reasoning)
        self._accepted: Accepted | None = None
        self._waiting: Waiting | None = None
        self._read: PromptProgress | None = None
        self._last: Finished | Failed | None = None
        self._ended: ReplyEnded | None = None
        self._followers: set[Follower] = set()
        self._cancel: Callable[[], None] | None = None
        self._stopped = False
        self.dropped_messages = 0
        """Messages of the session that were not given to the engine at all, by
        `limits.max_history_messages`."""
        self.sent: Sent | None = None
        """What else than the chat the prompt was made of."""
        self.warning: Callable[[Accepted], str | None] = lambda _: None
        """What differs from the request, once the prompt was accepted."""

    # -- the turn's side -------------------------------------------------------------------------

    def submitted(self, cancel: Callable[[], None]) -> None:
        """The engine has the sequence; `cancel` ends it."""
        with self._lock:
            self._cancel = cancel
            stopped = self._stopped
        if stopped:
            cancel()

    def stop(self) -> None:
        """End the reply, now or as soon as the engine has it; the text so far is kept."""
        with self._lock:
            self._stopped = True
            cancel = self._cancel
        if cancel:
            cancel()

    def wait_over(self, timeout: float) -> bool:
        """Wait until it has ended and is stored; whether it has."""
        return self._over.wait(timeout)

    def wait_answered(self, timeout: float) -> None:
        """Wait for the engine's first event of the turn.

        Raises:
            ApplianceError: it was a refusal.
        """
        self._answered.wait(timeout)
        with self._lock:
            refused = self._last if not self._accepted else None
        if isinstance(refused, Failed):
            raise from_code(refused.code, refused.message, refused.param)

    # -- the engine's side -----------------------------------------------------------------------

    def on_event(self, event: SequenceEvent) -> None:
        """The sink of the reply's sequence. Never blocks."""
        with self._lock:
            if isinstance(event, Accepted):
                self._accepted = event
                self._waiting = None
            elif isinstance(event, Queued):
                self._waiting = Waiting(event.position)
            elif isinstance(event, Prefill) and self._accepted:
                self._waiting = None
                total = self._accepted.prompt_tokens
                self._read = PromptProgress(
                    event.done, total, event.cached_tokens, event.cached_from
                )
            elif isinstance(event, Delta):
                self._text.add(reasoning=event.reasoning)
                self._text.add(text=event.text)
            elif isinstance(event, Finished | Failed):
                self._last = event
        if not isinstance(event, Queued):  # a place in line says nothing yet
            self._answered.set()
        if isinstance(event, Finished | Failed):
            self._on_end(self)
        else:
            self._wake()

    # -- the writer's side -----------------------------------------------------------------------

    @property
    def text_so_far(self) -> tuple[str, str]:
        """Text and reasoning so far."""
        with self._lock:
            return self._text.whole()

    def store(self, sessions: Sessions) -> None:
        """Store the whole reply and let the followers know how it ended.

        Raises:
            StoreError: it could not be stored; the followers get that instead.
        """
        last, accepted = self._last, self._accepted
        assert last is not None
        error: ApplianceError | None = None
        status: FinalStatus
        usage: MessageUsage | None = None
        text, reasoning = self.text_so_far
        begun = bool(text or reasoning)
        if isinstance(last, Failed):
            error = from_code(last.code, last.message, last.param)
            status = "interrupted" if begun and isinstance(error, _INTERRUPTIONS) else "failed"
        else:
            status = "stopped" if last.reason == "cancelled" else "complete"
            usage = MessageUsage(
                prompt_tokens=last.prompt_tokens,
                cached_tokens=last.cached_tokens,
                cached_from=last.cached_from,
                completion_tokens=last.completion_tokens,
                dropped_messages=self.dropped,
                queued_seconds=last.timings.queued,
                prefill_seconds=last.timings.prefill,
                decode_seconds=last.timings.decode,
                seed=accepted.seed if accepted else 0,
                context_tokens=last.prompt_tokens + last.completion_tokens,
                n_ctx=accepted.n_ctx if accepted else None,
                dropped_by=self._dropped_by(),
            )
        try:
            read = self._read_by_model()
            if read != self.user:
                sessions.note_shown(read.id, [it.shown for it in read.attachments])
            message = sessions.finish_reply(
                self.reply.id,
                text,
                status,
                None if isinstance(last, Failed) else last.reason,
                usage,
                MessageError(error.code, error.message) if error else None,
                reasoning=reasoning,
                sent=self.sent,
            )
        except MessageNotFound as ex:  # its session was deleted meanwhile
            self._end(ReplyEnded(self._unstored(text, reasoning), ex))
        except StoreError as ex:
            self._end(ReplyEnded(self._unstored(text, reasoning), ex))
            raise
        else:
            self._end(ReplyEnded(message, error))

    def _read_by_model(self) -> Message:
        """What is replied to, and how much the model was shown of its attachments."""
        fits = self._accepted.attached if self._accepted else []
        if not (fits and self.user.attachments):
            return self.user
        attachments = tuple(
            msgspec.structs.replace(it, shown=fit.shown)
            for it, fit in zip(self.user.attachments, fits, strict=True)
        )
        return msgspec.structs.replace(self.user, attachments=attachments)

    def _unstored(self, text: str, reasoning: str) -> Message:
        return msgspec.structs.replace(self.reply, content=text, reasoning=reasoning)

    def _end(self, ended: ReplyEnded) -> None:
        with self._lock:
            self._ended = self._ended or ended
        self._over.set()
        self._wake()

    # -- the followers' side ---------------------------------------------------------------------

    def follow(self, start: int | None = None, *, from_turn: bool = False) -> "Follower":
        """Follow from an offset on; None: from what is new. `from_turn`: with `TurnBegan` first."""
        with self._lock:
            offset = self._text.began if start is None else start
            follower = Follower(self, offset, from_turn)
            self._followers.add(follower)
        return follower

    def leave(self, follower: "Follower") -> None:
        """The follower is not woken any more."""
        with self._lock:
            self._followers.discard(follower)

    def events_for(self, follower: "Follower") -> list[LiveEvent]:
        """What the follower has not received yet, in order."""
        with self._lock:
            if not (self._accepted or self._ended or self._waiting):
                return []
            events: list[LiveEvent] = []
            if follower.wants_turn:
                follower.wants_turn = False
                events.append(TurnBegan(self._read_by_model(), self.reply, self.dropped))
            if self._accepted and not follower.accepted:
                follower.accepted = True
                accepted = self._accepted
                events.append(
                    TurnAccepted(
                        accepted.prompt_tokens,
                        self.dropped,
                        accepted.seed,
                        accepted.n_ctx,
                        self.warning(accepted),
                    )
                )
            if self._waiting and self._waiting != follower.waiting:
                follower.waiting = self._waiting
                events.append(self._waiting)
            silent = self._text.end == self._text.began
            if self._read != follower.read and silent and self._read:
                follower.read = self._read
                events.append(self._read)
            events += self._text.after(follower.offset)
            follower.offset = max(follower.offset, self._text.end)
            if self._ended and not follower.ended:
                follower.ended = True
                if self._ended.message.usage:
                    events.append(usage_of(self._ended.message.usage))
                events.append(self._ended)
            return events

    @property
    def dropped(self) -> int:
        """Messages of the session that the model is not shown, as far as is known by now."""
        accepted = self._accepted
        return self.dropped_messages + (accepted.dropped_messages if accepted else 0)

    def _dropped_by(self) -> DroppedBy | None:
        if self._accepted and self._accepted.dropped_messages:
            return "context"
        return "limit" if self.dropped_messages else None

    def _wake(self) -> None:
        with self._lock:
            followers = list(self._followers)
        for follower in followers:
            follower.wake()


class Follower:
    """One reader of a live reply, and what it has received."""

    def __init__(self, live: LiveReply, start: int, wants_turn: bool) -> None:
        self._live = live
        self.offset = start
        self.wants_turn = wants_turn
        self.accepted = False
        self.waiting: Waiting | None = None
        self.read: PromptProgress | None = None
        self.ended = False
        self.wake: Callable[[], None] = lambda: None
        """Called from any thread when there is news; must not block."""

    @property
    def session_id(self) -> str:
        """Whose reply it is."""
        return self._live.reply.session_id

    @property
    def message_id(self) -> str:
        """The reply."""
        return self._live.reply.id

    @property
    def dropped_messages(self) -> int:
        """Messages of the session that the model is not shown; final once it answered."""
        return self._live.dropped

    def wait_answered(self, timeout: float) -> None:
        """Wait for the engine's first event of the turn.

        Raises:
            ApplianceError: it was a refusal.
        """
        self._live.wait_answered(timeout)

    def take(self) -> list[LiveEvent]:
        """What is new since the last call; ends with `ReplyEnded`."""
        return self._live.events_for(self)

    def stop(self) -> None:
        """End the reply; the text so far is kept."""
        self._live.stop()

    def close(self) -> None:
        """Receive no more. The reply goes on."""
        self._live.leave(self)
