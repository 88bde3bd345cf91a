"""Requests to an engine, with the events of their replies collected."""

import threading
from collections.abc import Callable

from appliance.engine.base import Engine
from appliance.engine.protocol import Accepted, Delta, Failed, Finished, SequenceEvent
from appliance.engine.types import (
    ChatMessage,
    ChatPrompt,
    GenerationRequest,
    Prompt,
    SamplingParams,
    TextPrompt,
)

GREEDY = SamplingParams(temperature=0, max_tokens=24)


def chat(*contents: str) -> ChatPrompt:
    """A prompt of alternating user and assistant messages."""
    return ChatPrompt(
        [
            ChatMessage(("user", "assistant")[index % 2], content)
            for index, content in enumerate(contents)
        ]
    )


class CollectedReply:
    """Submits a request and collects its events."""

    def __init__(
        self,
        engine: Engine,
        prompt: Prompt | str,
        sampling: SamplingParams = GREEDY,
        on_event: Callable[[SequenceEvent], None] | None = None,
        owner: str = "",
        session: str | None = None,
    ) -> None:
        self.events: list[SequenceEvent] = []
        self.ended = threading.Event()
        self.begun = threading.Event()
        self._on_event = on_event
        text = TextPrompt(prompt) if isinstance(prompt, str) else prompt
        request = GenerationRequest(prompt=text, sampling=sampling, owner=owner, session=session)
        self.id = engine.submit(request, self._take)

    def _take(self, event: SequenceEvent) -> None:
        self.events.append(event)
        if isinstance(event, Delta):
            self.begun.set()
        if isinstance(event, Finished | Failed):
            self.ended.set()
        if self._on_event:
            self._on_event(event)

    def wait(self, timeout: float = 180) -> "CollectedReply":
        """Wait for the terminal event."""
        assert self.ended.wait(timeout), f"no end; the last events: {self.events[-3:]}"
        return self

    @property
    def tokens(self) -> list[int]:
        """The reply's tokens."""
        return [
            token for event in self.events if isinstance(event, Delta) for token in event.new_tokens
        ]

    @property
    def text(self) -> str:
        """The reply's text."""
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def terminals(self) -> list[Finished | Failed]:
        """The terminal events; there must be exactly one."""
        return [event for event in self.events if isinstance(event, Finished | Failed)]

    @property
    def finished(self) -> Finished:
        """The terminal event of a successful request."""
        (end,) = self.terminals
        assert isinstance(end, Finished), end
        return end

    @property
    def failed(self) -> Failed:
        """The terminal event of a failed request."""
        (end,) = self.terminals
        assert isinstance(end, Failed), end
        return end

    @property
    def accepted(self) -> Accepted:
        """The first event."""
        first = self.events[0]
        assert isinstance(first, Accepted), first
        return first


def ask(engine: Engine, prompt: Prompt | str, sampling: SamplingParams = GREEDY) -> CollectedReply:
    """Submit a request and wait for its end."""
    return CollectedReply(engine, prompt, sampling).wait()
