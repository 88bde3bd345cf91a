"""With a seed and `reproducible`, the same request gives the same tokens to the last digit of their
probabilities, whatever runs beside it and was computed before."""

from collections.abc import Iterator
from typing import Any

import pytest

from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Accepted, Delta
from appliance.engine.types import SamplingParams
from tests.engine.conftest import fake_engine, real_engine
from tests.engine.engine_client import CollectedReply, ask

PROMPT = "The miller had three sons, and each of them had a wish of his own. " * 15 + "The first"
EXACT = SamplingParams(temperature=1.0, seed=11, max_tokens=16, logprobs=1, reproducible=True)
OTHER = SamplingParams(temperature=1.0, max_tokens=16, ignore_eos=True)
SETTINGS: dict[str, dict[str, Any]] = {
    "cells of their own": {"kv_unified": False, "n_ctx": 1024},
    "shared cells": {"kv_unified": True, "n_ctx": 4096},
}


@pytest.fixture(scope="module", params=list(SETTINGS))
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    room = {"kv_memory_bytes": 1 << 28, "kv_min_tokens": 32}
    return {**SETTINGS[request.param], **room, "n_seq_max": 8}


@pytest.fixture(scope="module")
def engine(settings: dict[str, Any]) -> Iterator[LocalEngine]:
    made = real_engine(**settings)
    made.start()
    assert made.wait_ready(600), made.state
    yield made
    made.close()


def exactly(reply: CollectedReply) -> tuple[str, list[tuple[bytes, float]]]:
    """Text, and tokens with their probabilities."""
    reply.wait()
    assert reply.finished.cached_tokens % 128 == 0
    entries = [
        (entry.token.text, entry.token.logprob)
        for event in reply.events
        if isinstance(event, Delta)
        for entry in event.logprobs or ()
    ]
    assert entries
    return reply.text, entries


@pytest.fixture(scope="module")
def alone(engine: LocalEngine) -> tuple[str, list[tuple[bytes, float]]]:
    found = CollectedReply(engine, PROMPT, EXACT)
    assert exactly(found)
    assert found.finished.cached_tokens == 0
    return exactly(found)


def test_beside_others(engine: LocalEngine, alone: object) -> None:
    neighbours = [CollectedReply(engine, f"{n}. {PROMPT[: 90 * n]}", OTHER) for n in range(1, 5)]
    same = CollectedReply(engine, PROMPT, OTHER)  # which begins alike
    found = CollectedReply(engine, PROMPT, EXACT)
    later = CollectedReply(engine, "And so " + PROMPT, OTHER)
    assert exactly(found) == alone
    for other in (*neighbours, same, later):
        assert other.wait().finished.completion_tokens == OTHER.max_tokens


def test_what_was_computed_in_the_same_steps_is_used(engine: LocalEngine, alone: object) -> None:
    """Neither text nor the last digit of a probability tells that it was."""
    again = CollectedReply(engine, PROMPT, EXACT)
    assert exactly(again) == alone
    whole = (again.finished.prompt_tokens - 1) // 128 * 128
    assert again.finished.cached_tokens == whole > 0
    follows = PROMPT + " of them" + " went out into the world and found what nobody had seen." * 12
    cached = CollectedReply(engine, follows, EXACT)
    found = exactly(cached)
    fresh = CollectedReply(engine, follows, EXACT, owner="another")
    assert exactly(fresh) == found
    assert (cached.finished.cached_tokens, fresh.finished.cached_tokens) == (whole, 0)


def test_two_at_once(engine: LocalEngine, alone: object) -> None:
    both = [CollectedReply(engine, PROMPT, EXACT) for _ in range(2)]
    assert [exactly(one) for one in both] == [alone, alone]


def test_after_its_prefix_was_computed_for_another(engine: LocalEngine, alone: object) -> None:
    ask(engine, PROMPT, OTHER)
    assert exactly(CollectedReply(engine, PROMPT, EXACT)) == alone
    # What is cached stays for others: in memory, where a request has the whole cache to itself.
    again = ask(engine, PROMPT, OTHER)
    assert again.finished.cached_tokens > 250


def test_after_a_restart(settings: dict[str, Any], engine: LocalEngine, alone: object) -> None:
    again = real_engine(**settings)
    again.start()
    try:
        assert again.wait_ready(600), again.state
        found = CollectedReply(again, PROMPT, EXACT)
        assert exactly(found) == alone
        here = ask(engine, "Hi", SamplingParams(max_tokens=1)).accepted
        assert found.accepted.fingerprint == here.fingerprint != ""
    finally:
        again.close()


def test_what_nobody_can_promise_is_refused() -> None:
    engine = fake_engine()
    engine.start()
    try:
        failed = ask(engine, "Hi", EXACT).failed
        assert (failed.code, failed.param) == ("invalid_request", "reproducible")
        assert isinstance(ask(engine, "Hi").events[0], Accepted)
    finally:
        engine.close()
