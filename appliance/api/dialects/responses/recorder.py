"""One response that is being generated: all that its model wrote, and who reads it as it grows."""

from collections.abc import Callable

import msgspec

from appliance.api.dialects.responses.builder import ResponseBuilder
from appliance.api.dialects.responses.items import Item
from appliance.api.dialects.responses.schemas import OfferedTools, ResponseObject
from appliance.engine.protocol import (
    Accepted,
    Begun,
    Delta,
    Failed,
    Finished,
    Prefill,
    SequenceEvent,
    Terminal,
    Timings,
)
from appliance.engine.types import GenerationRequest, SamplingParams, TextPrompt
from appliance.store.callers.responses import StoredResponse

LogEvent = Accepted | Prefill | Delta | Finished | Failed
"""What is kept of a sequence's events: equal logs give equal events of the response."""

LOG = msgspec.msgpack.Decoder(list[LogEvent])


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a response is generated: what the next start of the appliance needs to go on with it."""

    model: str
    """Its id."""
    request: GenerationRequest
    encrypted: bool = False
    """Reasoning is repeated as `encrypted_content`."""
    streamed: bool = False
    """It is generated in the background, and its stream may be read at any time."""


class Recorder:
    """Sees every event of a response before its client. The engine's thread calls `see`; all else
    may be read from any thread."""

    def __init__(self, owner: str, items: list[Item], head: ResponseObject, plan: Plan) -> None:
        """
        Args:
            owner: whose it is.
            items: what came with the request.
            head: the response before it has any output.
            plan: how it is generated.
        """
        self.owner = owner
        self.items = items
        self.head = head
        self.plan = plan
        self.log: list[LogEvent] = []
        self.shown = 0
        """Events of the log that are stored, so that a kill takes none of them back."""
        self.attempt = 0
        """Counts the sequences that were begun for it; events of earlier ones don't count."""
        self.row = False
        """It was stored when it began."""
        self.cancelled = self.deleted = False
        self.cancel: Callable[[], None] = lambda: None
        """Ends the sequence."""
        self.followers: set[Callable[[], None]] = set()
        """Called when more of it is stored, or it begins anew."""
        self._builder = self.builder()

    @classmethod
    def of_ended(cls, owner: str, response: ResponseObject, log: bytes | None) -> "Recorder":
        """Of a response that has ended; `log`: as it is stored."""
        head = msgspec.structs.replace(
            response,
            status="in_progress",
            output=[],
            usage=None,
            error=None,
            completed_at=None,
            incomplete_details=None,
        )
        request = GenerationRequest(prompt=TextPrompt(""), sampling=SamplingParams())
        encrypted = any("encrypted_content" in item for item in response.output)
        plan = Plan(
            model=head.model, request=request, encrypted=encrypted, streamed=log is not None
        )
        found = cls(owner, [], head, plan)
        found.replay(LOG.decode(log) if log else [])
        found._builder.response = response
        return found

    def builder(self) -> ResponseBuilder:
        """A builder of its own for somebody who reads it."""
        tools = OfferedTools.of(self.head)
        return ResponseBuilder(self.head, tools, encrypted=self.plan.encrypted)

    @property
    def id(self) -> str:
        """The response's."""
        return self.head.id

    @property
    def response(self) -> ResponseObject:
        """As far as it is."""
        return self._builder.response

    @property
    def begun(self) -> bool:
        """Its prompt was accepted: a refusal is not kept."""
        return any(isinstance(event, Accepted) for event in self.log[:1])

    def see(self, event: SequenceEvent) -> None:
        """The next event."""
        match event:
            case Accepted():
                if not self.begun:
                    self.log.append(event)
            case Prefill():  # the last one before the first token says what was cached
                if len(self.log) < 2:
                    self.log.append(event)
            case Delta() | Finished() | Failed():
                self.log.append(event)
                self._builder.add(event)

    def not_stored(self) -> None:
        """It could not be kept."""
        self._builder.not_stored()

    def replay(self, log: list[LogEvent]) -> None:
        """What was written of it before the appliance ended."""
        for event in log:
            self.see(event)
        self.shown = len(self.log)

    def begin_anew(self) -> None:
        """Nothing of what was written of it is of use: another model writes it."""
        self.attempt += 1
        self.log, self.shown = [], 0
        self._builder = self.builder()
        self.wake()

    def so_far(self) -> Begun | None:
        """What a worker goes on from; None: the beginning."""
        accepted = self.log[0] if self.log else None
        if not isinstance(accepted, Accepted):
            return None
        deltas = [event for event in self.log if isinstance(event, Delta)]
        cached = next((event for event in self.log if isinstance(event, Prefill)), None)
        return Begun(
            seed=accepted.seed,
            tokens=[token for delta in deltas for token in delta.new_tokens],
            cached_tokens=cached.cached_tokens if cached else 0,
            cached_from=cached.cached_from if cached else None,
            timings=Timings(queued=0, prefill=0, decode=0),
        )

    def fingerprint(self) -> str | None:
        """Of what wrote the log; None: it is unknown whether another worker can continue."""
        accepted = self.log[0] if self.log else None
        if not isinstance(accepted, Accepted) or not accepted.fingerprint:
            return None
        known = all(event.new_tokens for event in self.log if isinstance(event, Delta))
        return accepted.fingerprint if known else None

    def stored(self, *, under_way: bool) -> StoredResponse:
        """What is written into the database."""
        response = self.head if under_way else self.response
        return StoredResponse(
            id=self.id,
            previous_id=self.head.previous_response_id,
            input=msgspec.json.encode(self.items),
            response=msgspec.json.encode(response),
            plan=msgspec.msgpack.encode(self.plan) if under_way else None,
            log=msgspec.msgpack.encode(self.log) if under_way or self.plan.streamed else None,
        )

    def interrupted(self) -> None:
        """Its end was the appliance's, and not its own."""
        if self.log and isinstance(self.log[-1], Terminal):
            self.log.pop()

    def wake(self) -> None:
        """There is news for its followers."""
        for follower in list(self.followers):
            follower()
