"""One request to an upstream, from its submission to its terminal event."""

import random
import time

from appliance.engine.protocol import (
    Embedded,
    EventSink,
    Failed,
    Finished,
    FinishReason,
    Terminal,
    Timings,
)
from appliance.engine.types import EmbedRequest, GenerationRequest, TextPrompt
from appliance.engine.upstream.chunks import Chunk, UpstreamUsage
from appliance.engine.upstream.connection import UpstreamConnection
from appliance.errors import ApplianceError


class UpstreamRequest:
    """A request that has not ended."""

    def __init__(self, id: int, owner: str, sink: EventSink) -> None:
        self.id = id
        self.owner = owner
        self.sink = sink
        self.connection = UpstreamConnection()
        self.accepted = False
        """Its thread calls the sink, and no other does from now on."""
        self.stopped = False
        self.error: ApplianceError | None = None
        """Why it was stopped; None: it was cancelled."""
        self.tokens = 0
        """Counted here: a chunk counts as one token, unless it has logprobs of several."""
        self.usage: UpstreamUsage | None = None
        self.reason: FinishReason | None = None
        self._submitted = time.monotonic()
        self._began = self._first = 0.0

    def begin(self) -> None:
        """A thread has taken it up."""
        self._began = time.monotonic()

    def ended(self) -> Terminal:
        """It ended by itself or was cancelled."""
        now = time.monotonic()
        began = self._began or now
        first = self._first or now
        usage = self.usage or UpstreamUsage(0, self.tokens, 0)
        return Finished(
            id=self.id,
            reason="cancelled" if self.stopped or self.reason is None else self.reason,
            prompt_tokens=usage.prompt_tokens,
            cached_tokens=usage.cached_tokens,
            completion_tokens=usage.completion_tokens,
            timings=Timings(
                queued=began - self._submitted, prefill=first - began, decode=now - first
            ),
        )

    def failed(self, error: ApplianceError) -> Failed:
        """It ended by `error`."""
        return Failed(self.id, error.code, error.message, error.param)

    def stop_event(self) -> Terminal:
        """The last event of a request that was stopped."""
        return self.failed(self.error) if self.error else self.ended()


class UpstreamGeneration(UpstreamRequest):
    """A request for text that has not ended."""

    def __init__(self, id: int, request: GenerationRequest, sink: EventSink) -> None:
        super().__init__(id, request.owner, sink)
        self.prompt = request.prompt
        self.sampling = request.sampling
        self.count_only = request.count_only
        seed = request.sampling.seed
        self.seed = random.getrandbits(31) if seed is None else seed

    def take(self, chunk: Chunk) -> None:
        """Count."""
        self.usage = chunk.usage or self.usage
        self.reason = chunk.reason or self.reason
        if chunk.has_output:
            self.tokens += len(chunk.logprobs or ()) or 1
            self._first = self._first or time.monotonic()


class UpstreamEmbedding(UpstreamRequest):
    """A request for vectors that has not ended."""

    def __init__(self, id: int, request: EmbedRequest, sink: EventSink) -> None:
        super().__init__(id, request.owner, sink)
        self.inputs = [
            prompt.text if isinstance(prompt, TextPrompt) else prompt.tokens
            for prompt in request.inputs
        ]
        self.dimensions = request.dimensions
        self.embedded: Embedded | None = None

    def ended(self) -> Terminal:
        return self.embedded or super().ended()
