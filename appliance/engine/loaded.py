"""What the pool needs of an engine, whether it is a worker's or runs elsewhere."""

from typing import Protocol

from appliance.engine.client import EngineState
from appliance.engine.counters import Counters
from appliance.engine.protocol import Prompt, SamplingParams, TextPrompt, TokenPrompt
from appliance.engine.requests import Sink


class Loaded(Protocol):
    """An engine."""

    @property
    def state(self) -> EngineState: ...

    @property
    def busy(self) -> bool:
        """Requests are in flight."""

    @property
    def counters(self) -> Counters:
        """What it has done."""

    @property
    def worker_pid(self) -> int | None:
        """Process id of its worker, if it has one here."""

    def start(self) -> None:
        """Begin to load; returns at once."""

    def submit(
        self,
        prompt: Prompt,
        sampling: SamplingParams,
        sink: Sink,
        session: str | None = None,
        owner: str = "",
    ) -> int:
        """Have a prompt completed; see `Engine.submit`."""

    def embed(
        self,
        inputs: list[TextPrompt | TokenPrompt],
        dimensions: int | None,
        sink: Sink,
        owner: str = "",
    ) -> int:
        """Have vectors made of the inputs; see `Engine.embed`."""

    def cancel(self, id: int) -> None:
        """End a request."""

    def forget(self, session: str) -> None:
        """A session was deleted."""

    def close(self) -> None:
        """Free everything; every open request fails."""
