"""A stateless request, with a scripted model."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from appliance.api.dialects.openai.encoder import ChatEncoder
from appliance.api.generation.encoder import ReplyCollector
from appliance.api.generation.request import Generation
from appliance.engine.protocol import (
    Accepted,
    CallDelta,
    Delta,
    Failed,
    Finished,
    SequenceEvent,
    Timings,
)
from appliance.engine.types import ChatMessage, ChatPrompt, GenerationRequest, SamplingParams
from appliance.errors import ApplianceError, ContextLengthExceeded

PROMPT = ChatPrompt([ChatMessage("user", "Look it up.")], parse_output=True)
TWO_CALLS = [
    [CallDelta(0, "call_a", "look")],
    [CallDelta(0, arguments='{"at":')],
    [CallDelta(0, arguments="1}"), CallDelta(1, "call_b", "look", "{")],
    [CallDelta(1, arguments="}")],
]


class Scripted:
    """A model that always makes the same two calls, unless it is cancelled first."""

    id = "scripted"

    def __init__(self) -> None:
        self.cancelled = 0

    def submit(
        self, _request: object, sink: Callable[[SequenceEvent], None], _begun: object
    ) -> Callable[[], None]:
        sink(Accepted(1, 5, 0))
        for number, calls in enumerate(TWO_CALLS):
            sink(Delta(1, "", number + 1, calls=calls))
        sink(
            Finished(
                id=1,
                reason="tool_calls",
                prompt_tokens=5,
                cached_tokens=0,
                completion_tokens=4,
                timings=Timings(queued=0, prefill=0, decode=1),
            )
        )
        return self._cancel

    def _cancel(self) -> None:
        self.cancelled += 1


REQUEST = GenerationRequest(prompt=PROMPT, sampling=SamplingParams())


def generation(*, single_tool_call: bool) -> Generation:
    model: Any = Scripted()
    return Generation(model, [REQUEST], single_tool_call=single_tool_call)


@pytest.mark.parametrize(("single_tool_call", "names"), [(False, ["a", "b"]), (True, ["a"])])
def test_without_parallel_calls_the_reply_ends_after_the_first(
    single_tool_call: bool, names: list[str]
) -> None:
    response = generation(single_tool_call=single_tool_call).run(ChatEncoder("scripted"), Mock())
    whole = msgspec.to_builtins(response)
    (choice,) = whole["choices"]
    calls = choice["message"]["tool_calls"]
    assert [call["id"] for call in calls] == [f"call_{name}" for name in names]
    assert calls[0]["function"] == {"name": "look", "arguments": '{"at":1}'}
    assert choice["finish_reason"] == "tool_calls"


def test_the_same_in_a_stream() -> None:
    stream = generation(single_tool_call=True).stream(ChatEncoder("scripted"))
    body = stream.read()
    assert b"call_a" in body
    assert b"call_b" not in body
    assert b'"finish_reason":"tool_calls"' in body
    assert body.endswith(b"data: [DONE]\n\n")


def test_a_chunk_has_one_call_and_its_name_comes_alone() -> None:
    """Clients read one call of a chunk, and some no arguments where the name is."""
    body = generation(single_tool_call=False).stream(ChatEncoder("scripted")).read()
    events = [line[6:] for line in body.split(b"\n") if line.startswith(b"data: {")]
    deltas = [
        choice["delta"] for event in events for choice in msgspec.json.decode(event)["choices"]
    ]
    entries = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert [len(each) for each in entries] == [1] * 6
    found = [(entry["index"], entry["function"]) for (entry,) in entries]
    assert found == [
        (0, {"name": "look", "arguments": ""}),
        (0, {"arguments": '{"at":'}),
        (0, {"arguments": "1}"}),
        (1, {"name": "look", "arguments": ""}),
        (1, {"arguments": "{"}),
        (1, {"arguments": "}"}),
    ]


class Lines:
    """The encoder of another API: a line for each event, without server-sent events."""

    media_type = "application/x-ndjson"
    keep_alive: bytes | None = None

    def start(self) -> bytes:
        return b"start\n"

    def event(self, index: int, event: SequenceEvent) -> bytes:
        return f"{index} {type(event).__name__}\n".encode()

    def finish(self) -> bytes:
        return b"finish\n"

    def error(self, error: ApplianceError) -> bytes:
        return f"{error.code}\n".encode()

    def whole(self, replies: Sequence[ReplyCollector]) -> list[str]:
        return [reply.calls[0].arguments for reply in replies]


def test_a_stream_has_what_its_encoder_writes_and_nothing_else() -> None:
    stream = generation(single_tool_call=True).stream(Lines())
    assert (stream.media_type, stream.keep_alive) == ("application/x-ndjson", None)
    assert stream.read() == b"start\n0 Accepted\n" + b"0 Delta\n" * 3 + b"0 Finished\nfinish\n"
    assert stream.finished
    assert generation(single_tool_call=True).run(Lines(), Mock()) == ['{"at":1}']


def test_a_stream_that_is_to_stop_soon_ends_with_an_error() -> None:
    model: Any = Mock(submit=lambda _request, sink, _begun: sink(Accepted(1, 5, 0)) or Mock())
    stream = Generation(model, [REQUEST]).stream(Lines())
    assert stream.read() == b"start\n0 Accepted\n"
    stream.stop_soon()
    assert stream.read() == b"shutting_down\n"
    assert stream.finished
    assert stream.read() == b""


def test_one_refused_prompt_cancels_the_others() -> None:
    cancels = [Mock(), Mock()]
    events: Iterator[Accepted | Failed] = iter(
        [Accepted(1, 5, 0), Failed(2, "context_length_exceeded", "too long")]
    )

    def submit(_request: object, sink: Callable[[SequenceEvent], None], _begun: object) -> Mock:
        event = next(events)
        sink(event)
        return cancels[event.id - 1]

    model: Any = Mock(submit=submit)
    with pytest.raises(ContextLengthExceeded):
        Generation(model, [REQUEST, REQUEST]).stream(Lines())
    assert [cancel.call_count for cancel in cancels] == [1, 1]


def test_choices_differ_by_their_seeds() -> None:
    seeds: list[int | None] = []

    def submit(request: GenerationRequest, _sink: object, _begun: object) -> Mock:
        seeds.append(request.sampling.seed)
        return Mock()

    model: Any = Mock(submit=submit)
    last = GenerationRequest(prompt=PROMPT, sampling=SamplingParams(seed=2**32 - 2))
    Generation(model, [last, REQUEST], n=2).submit()
    assert seeds == [2**32 - 2, 0, None, None]
