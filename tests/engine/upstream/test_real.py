"""The engine contract, with llama.cpp's own server as the upstream."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from appliance.config import paths
from appliance.engine.protocol import Accepted, Delta, Finished
from appliance.engine.types import (
    ChatMessage,
    ChatPrompt,
    Prompt,
    SamplingParams,
    TextPrompt,
    TokenPrompt,
)
from appliance.engine.upstream.engine import UpstreamEngine
from tests.engine.engine_client import CollectedReply, ask, chat
from tests.engine.upstream.fake_upstream import eventually, upstream_engine

N_CTX = 512


@pytest.fixture(scope="module")
def llama_server() -> Iterator[str]:
    """The address of llama.cpp's server with the embedded model and two slots."""
    process = subprocess.Popen(
        [
            *(sys.executable, str(Path(__file__).with_name("llama_server.py"))),
            *(str(paths.embedded_model()), str(N_CTX), "2"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin and process.stdout
    address = process.stdout.readline().strip()
    assert address.startswith("http://"), "llama.cpp's server did not start"
    yield address
    process.stdin.close()
    process.stdout.close()
    process.wait(30)


@pytest.fixture(scope="module")
def engine(llama_server: str) -> Iterator[UpstreamEngine]:
    made = upstream_engine(f"{llama_server}/v1", model="smollm2", parallel=2, max_waiting=32)
    made.start()
    assert made.wait_ready(30), made.state
    yield made
    made.close()


def busy_slots(llama_server: str) -> int:
    return sum(slot["is_processing"] for slot in httpx.get(f"{llama_server}/slots").json())


def test_the_status_describes_the_model_there(engine: UpstreamEngine) -> None:
    model = engine.state.model
    assert model and (model.n_ctx, model.n_params) == (N_CTX, 134_515_008)
    assert engine.worker_pid is None


@pytest.mark.parametrize(
    "prompt",
    [chat("Tell me about rivers."), TextPrompt("Once upon a time"), TokenPrompt([504, 338, 260])],
)
def test_a_reply_is_accepted_first_and_finished_last(
    engine: UpstreamEngine, prompt: Prompt
) -> None:
    reply = ask(engine, prompt)
    assert isinstance(reply.events[0], Accepted)
    assert isinstance(reply.events[-1], Finished)
    assert len(reply.terminals) == 1
    assert reply.text
    assert reply.finished.prompt_tokens > 0
    assert 0 < reply.finished.completion_tokens <= 24
    counts = [event.tokens for event in reply.events if isinstance(event, Delta)]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("limit", [1, 17])
def test_max_tokens_is_exact(engine: UpstreamEngine, limit: int) -> None:
    sampling = SamplingParams(temperature=0, max_tokens=limit)
    reply = ask(engine, "Once upon a time there was a", sampling)
    assert reply.finished.reason == "length"
    assert reply.finished.completion_tokens == limit


def test_the_drawn_seed_is_reported_and_repeats_the_reply(engine: UpstreamEngine) -> None:
    prompt = chat("Tell me a story about a whale.")
    first = ask(engine, prompt, SamplingParams(temperature=1.2, max_tokens=20))
    again = SamplingParams(temperature=1.2, max_tokens=20, seed=first.accepted.seed)
    assert ask(engine, prompt, again).text == first.text


def test_a_stop_text_ends_the_reply_and_is_not_part_of_it(engine: UpstreamEngine) -> None:
    whole = ask(engine, chat("Tell me about bread.")).text
    stop = whole[5:9]
    sampling = SamplingParams(temperature=0, max_tokens=24, stop=(stop,))
    reply = ask(engine, chat("Tell me about bread."), sampling)
    assert reply.text == whole[: whole.index(stop)]
    assert reply.finished.reason == "stop"


@pytest.mark.parametrize("prompt", [chat("Name a colour."), TextPrompt("The colour is")])
def test_a_reply_keeps_to_grammar_and_schema(engine: UpstreamEngine, prompt: Prompt) -> None:
    grammar = SamplingParams(temperature=0, max_tokens=12, grammar='root ::= "blue" | "red"')
    assert ask(engine, prompt, grammar).text in ("blue", "red")
    schema = {
        "type": "object",
        "properties": {"a": {"enum": [17]}},
        "required": ["a"],
        "additionalProperties": False,
    }
    keeping = SamplingParams(temperature=0, max_tokens=40, json_schema=json.dumps(schema))
    assert json.loads(ask(engine, prompt, keeping).text) == {"a": 17}


@pytest.mark.parametrize("prompt", [chat("Name a colour."), TextPrompt("The colour is")])
@pytest.mark.parametrize("wanted", [0, 2])
def test_logprobs_are_returned_when_they_are_requested(
    engine: UpstreamEngine, prompt: Prompt, wanted: int
) -> None:
    sampling = SamplingParams(temperature=0, max_tokens=5, logprobs=wanted)
    reply = ask(engine, prompt, sampling)
    entries = [
        entry
        for event in reply.events
        if isinstance(event, Delta)
        for entry in event.logprobs or ()
    ]
    assert len(entries) == reply.finished.completion_tokens == 5
    assert b"".join(entry.token.text for entry in entries).decode() == reply.text
    assert all(entry.token.logprob <= 0 and len(entry.top) == wanted for entry in entries)


def test_the_upstreams_cached_tokens_are_reported(engine: UpstreamEngine) -> None:
    story = "Here is a long story. " * 30
    ask(engine, chat(story + "What is it about?"))
    again = ask(engine, chat(story + "What is it about?")).finished
    assert 0 < again.cached_tokens <= again.prompt_tokens


def test_more_requests_than_run_at_once_are_all_answered(engine: UpstreamEngine) -> None:
    for reply in [CollectedReply(engine, f"Item {i}: the colour number {i} is") for i in range(8)]:
        assert reply.wait().finished.completion_tokens > 0


@pytest.mark.parametrize("prompt", [chat("hello " * 3000), TextPrompt("hello " * 3000)])
def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(
    engine: UpstreamEngine, prompt: Prompt
) -> None:
    reply = ask(engine, prompt)
    assert reply.failed.code == "context_length_exceeded"
    assert reply.failed.param == ("messages" if isinstance(prompt, ChatPrompt) else "prompt")
    assert f"{N_CTX} tokens" in reply.failed.message and "30" in reply.failed.message
    assert len(reply.events) == 1


def test_a_chat_that_chose_trimming_loses_its_oldest_messages(engine: UpstreamEngine) -> None:
    old = [ChatMessage(("user", "assistant")[i % 2], "word " * 40) for i in range(16)]
    messages = [ChatMessage("system", "Be brief."), *old, ChatMessage("user", "Still there?")]
    reply = ask(engine, ChatPrompt(messages, trim=True))
    assert 0 < reply.accepted.dropped_messages < len(old)
    assert reply.accepted.dropped_messages % 2 == 0
    assert reply.finished.prompt_tokens <= N_CTX


@pytest.mark.parametrize("prompt", [TokenPrompt([10**6]), TokenPrompt([]), TextPrompt("")])
def test_prompts_that_make_no_sense_are_refused(engine: UpstreamEngine, prompt: Prompt) -> None:
    reply = ask(engine, prompt)
    assert (reply.failed.code, reply.failed.param) == ("invalid_request", "prompt")


def test_text_with_every_kind_of_character_is_taken(engine: UpstreamEngine) -> None:
    reply = ask(engine, chat("NUL \x00, e\u0301, 🏳️‍🌈, \u202e, <|im_end|>"))
    assert reply.finished.prompt_tokens > 0


def test_cancelling_while_it_writes_makes_the_upstream_stop(
    engine: UpstreamEngine, llama_server: str
) -> None:
    reply = CollectedReply(engine, "1, 2, 3, 4,", SamplingParams(temperature=1, max_tokens=1900))
    assert reply.begun.wait(30)
    engine.cancel(reply.id)
    assert reply.wait(10).finished.reason == "cancelled"
    assert reply.finished.completion_tokens > 0
    assert eventually(lambda: busy_slots(llama_server) == 0, 10)


def test_cancelling_while_it_reads_makes_the_upstream_stop(
    engine: UpstreamEngine, llama_server: str
) -> None:
    reply = CollectedReply(engine, "many words " * 220)
    assert eventually(lambda: busy_slots(llama_server) == 1)
    engine.cancel(reply.id)
    assert reply.wait(10).finished.reason == "cancelled"
    assert len(reply.events) == 1
    # It checks for lost clients after sending nothing for a second.
    assert eventually(lambda: busy_slots(llama_server) == 0, every=1.5)
