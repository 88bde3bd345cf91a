"""One stateless request: its prompts become sequences of a model, one for each choice."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from appliance.api.generation.encoder import Encoder, ReplyCollector
from appliance.api.generation.sampling import SEEDS
from appliance.api.generation.stream import SequenceFeed, SequenceStream, error_of
from appliance.api.wire.streams import FIRST_EVENT_SECONDS, wait_for_events
from appliance.engine.protocol import (
    Accepted,
    Begun,
    Delta,
    EventSink,
    Failed,
    Finished,
    SequenceEvent,
)
from appliance.engine.serving.pool import ServedModel
from appliance.engine.types import GenerationRequest
from appliance.errors import ApplianceError

Whole = TypeVar("Whole")


class Generation:
    """One request. The wire format is the encoder's."""

    def __init__(
        self,
        model: ServedModel,
        requests: Sequence[GenerationRequest],
        *,
        n: int = 1,
        single_tool_call: bool = False,
        through: Callable[[EventSink], EventSink] = lambda sink: sink,
        begun: Begun | None = None,
    ) -> None:
        """
        Args:
            model: completes the prompts.
            requests: one for each prompt.
            n: choices for each prompt; they differ by their seeds.
            single_tool_call: a reply ends after its first tool call.
            through: makes a sink that sees every event before the one it is given.
            begun: of its only reply; see `Engine.submit`.
        """
        self._model = model
        self._requests = [_nth(request, i) for request in requests for i in range(n)]
        self._single_tool_call = single_tool_call
        self._through = through
        self._begun = begun
        self._feed: SequenceFeed | None = None

    @property
    def accepted(self) -> Accepted | None:
        """Of its first choice; None: it was not accepted yet."""
        return self._feed.accepted if self._feed else None

    def submit(self) -> SequenceFeed:
        """Submit every request, or none: if one is refused, those before it are cancelled.

        Raises:
            ApplianceError: one was refused at once.
        """
        self._feed = feed = SequenceFeed()
        try:
            for index, request in enumerate(self._requests):
                sink = self._through(feed.sink(index))
                if self._single_tool_call:
                    sink = _until_second_call(sink, partial(feed.cancel, index))
                feed.submitted(self._model.submit(request, sink, self._begun))
        except ApplianceError:
            feed.close()
            raise
        return feed

    def stream(self, encoder: Encoder[object]) -> SequenceStream:
        """Submit, wait for the first event, and return the stream.

        Raises:
            ApplianceError: it was a refusal.
        """
        feed = self.submit()
        stream = SequenceStream(feed, len(self._requests), encoder)
        feed.wait_answered(FIRST_EVENT_SECONDS)
        return stream

    def run(
        self, encoder: Encoder[Whole], on_disconnect: Callable[[Callable[[], None]], None]
    ) -> Whole:
        """Submit, wait for the end, and return the whole answer.

        Raises:
            ApplianceError: a choice was refused, or failed.
        """
        replies = [ReplyCollector() for _ in self._requests]
        feed = self.submit()
        on_disconnect(feed.close)
        for choice, event in wait_for_events(feed):
            if isinstance(event, Failed):
                feed.close()
                raise error_of(event)
            replies[choice].add(event)
            if isinstance(event, Finished) and all(reply.finished for reply in replies):
                break
        return encoder.whole(replies)


def _until_second_call(sink: EventSink, cancel: Callable[[], None]) -> EventSink:
    """A sink that cuts the sequence where a second tool call begins, as if it had ended there."""
    cut = False

    def take_first(event: SequenceEvent) -> None:
        nonlocal cut
        if isinstance(event, Delta):
            if cut:
                return
            cut = any(call.index for call in event.calls)
            if cut:
                calls = [call for call in event.calls if not call.index]
                event = msgspec.structs.replace(event, calls=calls)
                cancel()
        elif cut and isinstance(event, Finished):
            event = msgspec.structs.replace(event, reason="tool_calls")
        sink(event)

    return take_first


def _nth(request: GenerationRequest, number: int) -> GenerationRequest:
    """For the choice with that number: another seed, so that the choices differ."""
    if request.sampling.seed is None:
        return request
    seed = (request.sampling.seed + number) % SEEDS
    sampling = msgspec.structs.replace(request.sampling, seed=seed)
    return msgspec.structs.replace(request, sampling=sampling)
