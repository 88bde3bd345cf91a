"""One stateless request for completions: its sequences, and the objects that tell of them."""

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from appliance.api.chat.reply_requests import FIRST_WORD_SECONDS
from appliance.api.openai.encoder import Reply, Shape
from appliance.api.wire import streams
from appliance.api.wire.bodies import SEEDS
from appliance.auth.keys.scopes import Caller
from appliance.engine.pool import Model
from appliance.engine.protocol import Delta, Failed, Finished, SequenceEvent
from appliance.engine.types import Prompt, SamplingParams
from appliance.errors import ApplianceError, from_code

Sink = Callable[[SequenceEvent], None]


class Completion:
    """One request: its sequences in the engine, and the objects that tell of them."""

    def __init__(
        self,
        model: Model,
        prompts: Sequence[Prompt],
        sampling: SamplingParams,
        shape: Shape,
        *,
        caller: Caller,
        n: int = 1,
        one_call: bool = False,
        told: Mapping[str, str] = {},
        device: str | None = None,
    ) -> None:
        """
        Args:
            caller: who asks.
            n: choices for each prompt.
            one_call: a reply ends after its first tool call.
            told: what the objects say besides.
            device: where the model should run.
        """
        self._caller = caller
        self._device = device
        self._model = model
        self._prompts = [prompt for prompt in prompts for _ in range(n)]
        self._samplings = [_nth(sampling, i) for _ in prompts for i in range(n)]
        self._shape = shape
        self._cancels: list[Callable[[], None]] = []
        self._finished: list[Finished] = []
        self._one_call = one_call
        self._head = {
            "id": shape.id_prefix + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model.id,
            "system_fingerprint": None,
            **told,
        }

    def submit(self, sink: Callable[[int], Callable[[SequenceEvent], None]]) -> None:
        """Submit every prompt, or none: what an earlier one began is cancelled."""
        try:
            for index, prompt in enumerate(self._prompts):
                sampling = self._samplings[index]
                take = sink(index)
                if self._one_call:
                    take = self._until_second_call(index, take)
                cancel = self._model.submit(
                    prompt,
                    sampling,
                    take,
                    caller=self._caller.key_name,
                    owner=self._caller.owner,
                    device=self._device,
                )
                self._cancels.append(cancel)
        except ApplianceError:
            self.cancel()
            raise

    def cancel(self) -> None:
        """End what has not ended."""
        for cancel in self._cancels:
            cancel()

    def _until_second_call(self, index: int, take: Sink) -> Sink:
        """A sink that ends the sequence where a second tool call begins, as if it ended there."""
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
                    for cancel in self._cancels[index : index + 1]:
                        cancel()
            elif cut and isinstance(event, Finished):
                event = msgspec.structs.replace(event, reason="tool_calls")
            take(event)

        return take_first

    # -- streamed --------------------------------------------------------------------------------

    def stream(self, include_usage: bool) -> streams.SequenceStream:
        """Submit, wait for the first word, and return the stream."""
        begun: set[int] = set()

        def encode(index: int, event: SequenceEvent) -> bytes:
            if isinstance(event, Delta):
                choice = self._shape.delta(index, event, first=index not in begun)
                begun.add(index)
            elif isinstance(event, Finished):
                self._finished.append(event)
                choice = self._shape.last(index, _reason(event))
            else:
                return b""
            return streams.event(self._chunk([choice]))

        def end() -> bytes:
            return streams.event(self._chunk([], self.usage())) if include_usage else b""

        stream = streams.SequenceStream(len(self._prompts), encode, end, self.cancel)
        self.submit(stream.sink)
        stream.wait_answered(FIRST_WORD_SECONDS)
        return stream

    def _chunk(
        self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        kind = self._shape.chunk_name
        return {**self._head, "object": kind, "choices": choices, "usage": usage}

    # -- whole -----------------------------------------------------------------------------------

    def run(self, on_disconnect: Callable[[Callable[[], None]], None]) -> dict[str, Any]:
        """Submit, wait for the end, and return the object."""
        replies = [Reply() for _ in self._prompts]
        failures: list[Failed] = []
        done = threading.Semaphore(0)

        def sink(index: int) -> Callable[[SequenceEvent], None]:
            def take(event: SequenceEvent) -> None:
                if isinstance(event, Delta):
                    replies[index].add(event)
                elif isinstance(event, Finished):
                    replies[index].reason = _reason(event)
                    self._finished.append(event)
                    done.release()
                elif isinstance(event, Failed):
                    failures.append(event)
                    done.release()

            return take

        self.submit(sink)
        on_disconnect(self.cancel)
        for _ in self._prompts:
            done.acquire()
            if failures:
                self.cancel()
                failed = failures[0]
                raise from_code(failed.code, failed.message, failed.param)
        choices = [self._shape.whole(index, reply) for index, reply in enumerate(replies)]
        return {
            **self._head,
            "object": self._shape.whole_name,
            "choices": choices,
            "usage": self.usage(),
        }

    def usage(self) -> dict[str, Any]:
        """Tokens of all sequences together."""
        prompt = sum(event.prompt_tokens for event in self._finished)
        completion = sum(event.completion_tokens for event in self._finished)
        cached = sum(event.cached_tokens for event in self._finished)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {
                "cached_tokens": cached,
                "cached_from": next((e.cached_from for e in self._finished if e.cached_from), None),
            },
        }


def _nth(sampling: SamplingParams, number: int) -> SamplingParams:
    """For the choice with that number: another seed, so that the choices differ."""
    if sampling.seed is None:
        return sampling
    return msgspec.structs.replace(sampling, seed=(sampling.seed + number) % SEEDS)


def _reason(event: Finished) -> str:
    # A cancelled request has nobody who could read the reason.
    return "stop" if event.reason == "cancelled" else event.reason
