"""The contract of every engine, whichever runner it uses."""

from collections.abc import Iterator

import pytest

from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Accepted, Delta, Finished, Prefill
from appliance.engine.types import ChatMessage, ChatPrompt, SamplingParams, TextPrompt, TokenPrompt
from tests.engine.conftest import fake_engine, real_engine
from tests.engine.engine_client import GREEDY, CollectedReply, ask, chat


def context_of(engine: LocalEngine) -> int:
    """Tokens that a prompt and its reply may have."""
    assert engine.state.model
    return engine.state.model.n_ctx


SEEDED = SamplingParams(temperature=1.0, seed=11, max_tokens=30)


def test_a_reply_is_accepted_first_and_finished_last(engine: LocalEngine) -> None:
    reply = ask(engine, chat("Tell me about rivers."))
    assert isinstance(reply.events[0], Accepted)
    assert isinstance(reply.events[-1], Finished)
    assert len(reply.terminals) == 1
    assert reply.text
    assert reply.accepted.prompt_tokens == reply.finished.prompt_tokens > 0
    assert reply.finished.completion_tokens <= 24


def test_prefill_counts_up_to_the_whole_prompt(engine: LocalEngine) -> None:
    reply = ask(engine, chat("word " * 300 + str(id(engine))))
    done = [event.done for event in reply.events if isinstance(event, Prefill)]
    assert len(done) > 1
    assert done == sorted(done)
    assert done[-1] == reply.finished.prompt_tokens


def test_deltas_count_tokens_upwards(engine: LocalEngine) -> None:
    counts = [e.tokens for e in ask(engine, chat("Count.")).events if isinstance(e, Delta)]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("limit", [1, 2, 17])
def test_max_tokens_is_exact(engine: LocalEngine, limit: int) -> None:
    sampling = SamplingParams(temperature=0, max_tokens=limit)
    reply = ask(engine, "Once upon a time there was a", sampling)
    assert reply.finished.reason == "length"
    assert reply.finished.completion_tokens == limit


def test_nothing_ends_a_reply_that_is_to_go_on(engine: LocalEngine) -> None:
    """At that temperature any token may be drawn, also those that would end the reply."""
    sampling = SamplingParams(temperature=4.0, seed=3, top_k=0, max_tokens=200, ignore_eos=True)
    reply = ask(engine, chat("Say yes."), sampling)
    assert (reply.finished.reason, reply.finished.completion_tokens) == ("length", 200)


@pytest.fixture(scope="module", params=["fake", "real"])
def lonely(request: pytest.FixtureRequest) -> Iterator[LocalEngine]:
    """An engine with one slot. With more, a prompt may be in other cells the next time, so that
    sums are rounded differently, and of two about equally likely tokens the other may be chosen.
    """
    engine = fake_engine(n_seq_max=1) if request.param == "fake" else real_engine(n_seq_max=1)
    engine.start()
    assert engine.wait_ready(600)
    yield engine
    engine.close()


def test_same_seed_and_prompt_give_the_same_text(lonely: LocalEngine) -> None:
    prompt = chat("Tell me a story about a fox.")
    texts = {ask(lonely, prompt, SEEDED).text for _ in range(4)}
    assert len(texts) == 1


def test_the_drawn_seed_is_reported_and_repeats_the_reply(lonely: LocalEngine) -> None:
    prompt = chat("Tell me a story about a whale.")
    first = ask(lonely, prompt, SamplingParams(temperature=1.2, max_tokens=20))
    again = SamplingParams(temperature=1.2, max_tokens=20, seed=first.accepted.seed)
    assert ask(lonely, prompt, again).text == first.text


def test_a_stop_text_ends_the_reply_and_is_not_part_of_it(engine: LocalEngine) -> None:
    whole = ask(engine, chat("Tell me about bread.")).text
    stop = whole[5:9]
    reply = ask(
        engine,
        chat("Tell me about bread."),
        SamplingParams(temperature=0, max_tokens=24, stop=(stop,)),
    )
    assert reply.text == whole[: whole.index(stop)]
    assert reply.finished.reason == "stop"


def test_the_prefix_that_a_slot_keeps_is_not_read_again(engine: LocalEngine) -> None:
    story = "Here is a long story. " * 30
    first = ask(engine, chat(story + "What is it about?"))
    second = ask(engine, chat(story + "What is it about?", first.text, "And then?"))
    kept = first.finished.prompt_tokens
    assert second.finished.cached_tokens >= kept
    assert second.finished.prompt_tokens > second.finished.cached_tokens


def test_more_requests_than_slots_all_get_what_they_would_get_alone(engine: LocalEngine) -> None:
    prompts = [f"Item {i}: the colour number {i} is" for i in range(10)]
    together = [CollectedReply(engine, prompt) for prompt in prompts]
    for reply in together:
        reply.wait()
        assert reply.finished.completion_tokens > 0
    assert len({reply.id for reply in together}) == 10


def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(engine: LocalEngine) -> None:
    reply = ask(engine, chat("hello " * 3000))
    assert reply.failed.code == "context_length_exceeded"
    assert reply.failed.param == "messages"
    assert str(context_of(engine)) in reply.failed.message
    assert len(reply.events) == 1


def test_a_chat_that_chose_trimming_loses_its_oldest_messages(engine: LocalEngine) -> None:
    old = [ChatMessage(("user", "assistant")[i % 2], "word " * 60) for i in range(40)]
    messages = [ChatMessage("system", "Be brief."), *old, ChatMessage("user", "Still there?")]
    reply = ask(engine, ChatPrompt(messages, trim=True))
    assert 0 < reply.accepted.dropped_messages < len(old)
    assert reply.accepted.dropped_messages % 2 == 0
    assert reply.finished.prompt_tokens <= context_of(engine)


def test_a_reply_ends_where_the_context_ends(engine: LocalEngine) -> None:
    sampling = SamplingParams(temperature=0, max_tokens=None)
    n_ctx = context_of(engine)
    tokens = [97] * (n_ctx - 5)
    reply = ask(engine, TokenPrompt(tokens), sampling)
    assert reply.finished.completion_tokens <= n_ctx - reply.finished.prompt_tokens


def test_cancelling_ends_the_request_and_frees_the_slot(engine: LocalEngine) -> None:
    endless = SamplingParams(temperature=1, max_tokens=1500)
    replies = [CollectedReply(engine, f"List {i}: 1, 2, 3, 4,", endless) for i in range(6)]
    assert replies[0].begun.wait(180)
    for reply in replies:
        engine.cancel(reply.id)
    for reply in replies:
        assert reply.wait().finished.reason in ("cancelled", "stop")
    assert ask(engine, "again").finished.completion_tokens > 0


def test_cancelling_what_has_ended_is_no_error(engine: LocalEngine) -> None:
    reply = ask(engine, "short")
    engine.cancel(reply.id)
    engine.cancel(10**9)
    assert len(reply.terminals) == 1


@pytest.mark.parametrize(
    ("prompt", "param"),
    [
        (TokenPrompt([10**6]), "prompt"),
        (TokenPrompt([]), "prompt"),
        (TextPrompt(""), "prompt"),
    ],
)
def test_prompts_that_make_no_sense_are_refused(
    engine: LocalEngine, prompt: TokenPrompt | TextPrompt, param: str
) -> None:
    reply = ask(engine, prompt)
    assert (reply.failed.code, reply.failed.param) == ("invalid_request", param)


def test_text_with_every_kind_of_character_is_taken(engine: LocalEngine) -> None:
    reply = ask(engine, chat("NUL \x00, e\u0301, 🏳️‍🌈, \u202e, <|im_end|>"), GREEDY)
    assert reply.finished.prompt_tokens > 0
