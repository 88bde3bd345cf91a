"""A reply whose worker is killed continues unchanged in the next worker, with the real model:
text, tokens, calls, log probabilities, counts and finish reason."""

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Accepted, CallDelta, Delta, Prefill
from appliance.engine.types import ChatMessage, ChatPrompt, Prompt, SamplingParams
from tests.engine.conftest import real_engine
from tests.engine.engine_client import CollectedReply, chat

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}
PEOPLE = msgspec.json.encode(
    {
        "type": "array",
        "minItems": 3,
        "items": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer"}},
            "required": ["name", "age"],
        },
    }
).decode()
STORY = chat("Tell me a story about a miller.")
FREE: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 4711}
CASES: dict[str, tuple[Prompt, dict[str, Any]]] = {
    "greedy": (STORY, {}),
    "by chance": (STORY, FREE),
    "log probabilities": (STORY, {"logprobs": 3}),
    "a stop text": (chat("Count from 1 to 40."), {"stop": ("19", "never said")}),
    "mirostat": (STORY, {**FREE, "mirostat": 2, "mirostat_tau": 3.0, "mirostat_eta": 0.3}),
    "the first mirostat": (STORY, {**FREE, "mirostat": 1, "mirostat_eta": 0.3}),
    "repetitions": (STORY, {"dry_multiplier": 0.8, "dry_penalty_last_n": -1}),
    "exclusions": (
        STORY,
        {**FREE, "xtc_probability": 0.5, "typical_p": 0.95, "dynatemp_range": 0.5},
    ),
    "penalties": (STORY, {"repeat_penalty": 1.3, "presence_penalty": 0.5}),
    "a schema": (chat("Name three people."), {**FREE, "json_schema": PEOPLE, "max_tokens": 90}),
    "a call": (
        ChatPrompt(
            [ChatMessage("user", "What is the weather in Llanfairpwllgwyngyll?")],
            parse_output=True,
            tools=[WEATHER],
            tool_choice="required",
        ),
        {"max_tokens": 60},
    ),
}


@pytest.fixture(scope="module")
def real() -> Iterator[LocalEngine]:
    # One thread: with several, llama.cpp sums attention in several parts.
    engine = real_engine(n_threads=1)
    engine.start()
    assert engine.wait_ready(600)
    yield engine
    engine.close()


def calls(reply: CollectedReply) -> list[tuple[int, str | None, str]]:
    """Index, name and arguments of each call; ids are random."""
    found: list[CallDelta] = []
    for event in reply.events:
        found += event.calls if isinstance(event, Delta) else []
    assert len({call.id for call in found if call.id}) == sum(bool(call.id) for call in found)
    names = {call.index: call.name for call in found if call.name}
    return [
        (index, name, "".join(call.arguments for call in found if call.index == index))
        for index, name in names.items()
    ]


def logprobs(reply: CollectedReply) -> list[bytes]:
    """The token texts of the log probabilities."""
    deltas = [event for event in reply.events if isinstance(event, Delta)]
    return [entry.token.text for delta in deltas for entry in delta.logprobs or []]


def kill_after(engine: LocalEngine, reply: CollectedReply, tokens: int) -> None:
    """Kill the worker once the reply has that many tokens."""
    deadline = time.monotonic() + 120
    while len(reply.tokens) < tokens:
        assert time.monotonic() < deadline
        assert not reply.ended.is_set(), f"it ended after {len(reply.tokens)} tokens"
        time.sleep(0.002)
    restarts = engine.state.restarts
    os.kill(engine.worker_pid or 0, signal.SIGKILL)
    while engine.state.restarts == restarts:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("case", CASES)
def test_a_reply_goes_on_as_it_would_have(real: LocalEngine, case: str) -> None:
    prompt, changes = CASES[case]
    sampling = SamplingParams(**({"temperature": 0, "max_tokens": 40} | changes))
    # Two owners, so that both prompts are processed in full.
    whole = CollectedReply(real, prompt, sampling, owner=f"{case}, whole").wait()
    reply = CollectedReply(real, prompt, sampling, owner=f"{case}, twice")
    kill_after(real, reply, len(whole.tokens) // 4)
    kill_after(real, reply, len(whole.tokens) // 2)
    reply.wait()

    assert reply.tokens == whole.tokens
    assert reply.text == whole.text
    assert calls(reply) == calls(whole)
    assert logprobs(reply) == logprobs(whole)
    end, wanted = reply.finished, whole.finished
    for field in ("reason", "prompt_tokens", "completion_tokens", "cached_tokens", "cached_from"):
        assert getattr(end, field) == getattr(wanted, field), field
    kinds = [type(event) for event in reply.events]
    assert kinds.count(Accepted) == 1
    assert Prefill not in kinds[kinds.index(Delta) :]
    counts = [event.tokens for event in reply.events if isinstance(event, Delta)]
    assert counts == sorted(counts)


def test_one_that_draws_its_own_seed_keeps_the_one_that_was_reported(real: LocalEngine) -> None:
    free: dict[str, Any] = {**FREE, "seed": None, "max_tokens": 24}
    reply = CollectedReply(real, STORY, SamplingParams(**free), owner="drawn")
    kill_after(real, reply, 8)
    again = SamplingParams(**(free | {"seed": reply.wait().accepted.seed}))
    # Compare at least the part before the kill: after it, rounding may change a token.
    repeated = CollectedReply(real, STORY, again, owner="given").wait().tokens
    assert reply.tokens[:8] == repeated[:8]
    assert len(reply.tokens) == len(repeated) == 24
