"""A stateless request, with a model that says what the test wants."""

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import msgspec
import pytest

from appliance.api.generation.request import Generation
from appliance.api.openai.encoder import ChatEncoder
from appliance.auth.keys.scopes import Caller
from appliance.engine.protocol import Accepted, CallDelta, Delta, Finished, SequenceEvent, Timings
from appliance.engine.types import ChatMessage, ChatPrompt, SamplingParams

PROMPT = ChatPrompt([ChatMessage("user", "Look it up.")], understand=True)
TWO_CALLS = [
    [CallDelta(0, "call_a", "look")],
    [CallDelta(0, arguments='{"at":')],
    [CallDelta(0, arguments="1}"), CallDelta(1, "call_b", "look")],
    [CallDelta(1, arguments="{}")],
]


class Scripted:
    """A model that makes the same two calls each time, unless it is cancelled before."""

    id = "scripted"

    def __init__(self) -> None:
        self.cancelled = 0

    def submit(self, _request: object, sink: Callable[[SequenceEvent], None]) -> Callable[[], None]:
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


def generation(*, single_tool_call: bool) -> Generation:
    model: Any = Scripted()
    caller = Caller(name="test", address="127.0.0.1")
    return Generation(
        model, [PROMPT], SamplingParams(), caller=caller, single_tool_call=single_tool_call
    )


@pytest.mark.parametrize(("single_tool_call", "names"), [(False, ["a", "b"]), (True, ["a"])])
def test_without_parallel_calls_the_reply_ends_after_the_first(
    single_tool_call: bool, names: list[str]
) -> None:
    answer = generation(single_tool_call=single_tool_call).run(ChatEncoder("scripted"), Mock())
    whole = msgspec.to_builtins(answer)
    (choice,) = whole["choices"]
    calls = choice["message"]["tool_calls"]
    assert [call["id"] for call in calls] == [f"call_{name}" for name in names]
    assert calls[0]["function"] == {"name": "look", "arguments": '{"at":1}'}
    assert choice["finish_reason"] == "tool_calls"


def test_the_same_in_a_stream() -> None:
    stream = generation(single_tool_call=True).stream(ChatEncoder("scripted"))
    told = stream.take()
    assert b"call_a" in told
    assert b"call_b" not in told
    assert b'"finish_reason":"tool_calls"' in told
    assert told.endswith(b"data: [DONE]\n\n")
