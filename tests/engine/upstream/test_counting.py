"""Tokens of a prompt, counted by an upstream without a reply, where it has a route for that."""

import queue
from typing import Any

from appliance.engine.protocol import Accepted, Delta, Finished, SequenceEvent, Terminal
from appliance.engine.types import GenerationRequest, SamplingParams
from appliance.engine.upstream.engine import UpstreamEngine
from tests.engine.engine_client import ask, chat
from tests.engine.upstream.fake_upstream import Exchange, HostileUpstream
from tests.engine.upstream.test_real import engine, llama_server

__all__ = ["engine", "llama_server"]
PROMPT = chat("How many tokens are these? <|im_end|> 日本")


def counted(far: UpstreamEngine) -> list[SequenceEvent]:
    events: queue.SimpleQueue[SequenceEvent] = queue.SimpleQueue()
    request = GenerationRequest(
        prompt=PROMPT, sampling=SamplingParams(max_tokens=1), count_only=True
    )
    far.submit(request, events.put)
    found: list[SequenceEvent] = []
    while not found or not isinstance(found[-1], Terminal):
        found.append(events.get(timeout=30))
    return found


def test_llama_server_counts_what_it_would_read(engine: UpstreamEngine) -> None:
    first, *others = counted(engine)
    assert isinstance(first, Accepted)
    assert not any(isinstance(event, Delta) for event in others)
    read = ask(engine, PROMPT, SamplingParams(max_tokens=1)).finished
    assert first.prompt_tokens == read.prompt_tokens > 10


def test_vllm_s_count_is_taken(far: UpstreamEngine, upstream: HostileUpstream) -> None:
    upstream.answer = lambda exchange: exchange.refuse(200, {"count": 42, "tokens": []})
    first, last = counted(far)
    assert isinstance(first, Accepted)
    assert first.prompt_tokens == 42
    assert isinstance(last, Finished)
    (asked,) = upstream.asked
    assert asked.path == "/tokenize"
    assert asked.body["messages"][0]["role"] == "user"
    assert asked.body["model"] == "m"


def test_others_read_the_prompt_and_are_not_asked_twice(
    far: UpstreamEngine, upstream: HostileUpstream
) -> None:
    usage: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 1, "total_tokens": 8}

    def answer(exchange: Exchange) -> None:
        if exchange.path != "/v1/chat/completions":
            exchange.refuse(404, {"detail": "Not Found"})
            return
        exchange.open()
        exchange.send_text("a")
        exchange.end("length", usage)

    upstream.answer = answer
    for _ in range(2):
        last = counted(far)[-1]
        assert isinstance(last, Finished)
        assert last.prompt_tokens == 7
    paths = [exchange.path for exchange in upstream.asked]
    assert paths == ["/tokenize", "/apply-template", *["/v1/chat/completions"] * 2]
