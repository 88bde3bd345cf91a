"""Old GGML models in a real worker, from files that are generated here. Run as a program, this is
such a worker."""

import importlib.util
import math
import sys
from collections.abc import Callable, Iterator

import pytest

from appliance.config.environment import worker_environment
from appliance.engine.local.engine import LocalEngine
from appliance.engine.protocol import Delta
from appliance.engine.types import ChatMessage, ChatPrompt, SamplingParams, TokenPrompt
from appliance.worker import main
from appliance.worker.runners.ctransformers.model_file import FAMILIES
from appliance.worker.runners.ctransformers.runner import factory
from tests.engine.conftest import load_of
from tests.engine.engine_client import CollectedReply, ask, chat
from tests.worker.runners import ggml_writer
from tests.worker.scheduler.test_embedding import Vectors

GREEDY = SamplingParams(temperature=0, max_tokens=20)
STORY = "The river runs over the stones and the wind goes through the leaves. "
RANDOM = ggml_writer.model("gpt2", ggml_writer.random_weights())

Start = Callable[..., LocalEngine]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Starts a worker on the bytes of a model file."""
    if importlib.util.find_spec("ctransformers") is None:
        pytest.fail("the package ctransformers is not installed", pytrace=False)
    started: list[LocalEngine] = []

    def start(model: bytes, family: str = "gpt2", **changes: object) -> LocalEngine:
        path = tmp_path_factory.mktemp("ggml") / "model.bin"
        path.write_bytes(model)
        engine = LocalEngine(
            family,
            # One thread: several wait for each other by spinning, which is slow on a busy machine.
            load_of(
                str(path),
                **({"n_ctx": 0, "n_batch": 32, "n_seq_max": 1, "n_threads": 1} | changes),
            ),
            command=[sys.executable, __file__, family],
            environment={**worker_environment(), "PYTHONPATH": ":".join(sys.path)},
            max_waiting=64,
        )
        started.append(engine)
        engine.start()
        return engine

    yield start
    for engine in started:
        engine.close()


@pytest.fixture(scope="module")
def gpt2(start: Start) -> LocalEngine:
    """A random model; shared, so leave it idle."""
    engine = start(RANDOM)
    assert engine.wait_ready(600), engine.state
    return engine


def failure(engine: LocalEngine) -> str:
    """Why a model could not be loaded."""
    assert not engine.wait_ready(600) and engine.state.status == "failed", engine.state
    return engine.state.detail or ""


# -- replies --------------------------------------------------------------------------------------


def test_the_model_says_what_it_is(gpt2: LocalEngine) -> None:
    assert (info := gpt2.state.model)
    assert (info.n_ctx, info.n_ctx_train, info.n_seq_max) == (256, 256, 1)
    assert info.n_params * 4 == info.size
    assert "gpt2" in info.description


@pytest.mark.parametrize("limit", [1, 20])
def test_the_likeliest_tokens_are_the_same_every_time(gpt2: LocalEngine, limit: int) -> None:
    sampling = SamplingParams(temperature=0, max_tokens=limit)
    replies = [ask(gpt2, "Once upon a time", sampling) for _ in range(3)]
    assert len({reply.text for reply in replies}) == 1
    assert {reply.finished.reason for reply in replies} == {"length"}
    assert {reply.finished.completion_tokens for reply in replies} == {limit}


def test_a_seed_repeats_its_reply_and_another_seed_does_not(gpt2: LocalEngine) -> None:
    def replies(seed: int) -> set[str]:
        sampling = SamplingParams(temperature=1.5, seed=seed, max_tokens=20)
        return {ask(gpt2, "Once upon a time", sampling).text for _ in range(3)}

    assert [len(replies(seed)) for seed in (1, 2)] == [1, 1]
    assert replies(1) != replies(2)


def test_each_token_is_drawn_anew(start: Start) -> None:
    engine = start(ggml_writer.model("gpt2", ggml_writer.equal_weights))
    text = ask(engine, "a", SamplingParams(top_k=0, top_p=1, seed=5, max_tokens=40)).text
    assert len(set(text)) > 10


def test_a_penalty_keeps_tokens_from_coming_again(gpt2: LocalEngine) -> None:
    plain = ask(gpt2, "Once upon a time", GREEDY).text
    changed = SamplingParams(temperature=0, max_tokens=20, repeat_penalty=50.0)
    assert len(set(ask(gpt2, "Once upon a time", changed).text)) > len(set(plain))


def test_a_prefix_that_was_read_before_changes_nothing(gpt2: LocalEngine, start: Start) -> None:
    fresh = start(RANDOM)
    ask(gpt2, STORY + "And the cat?", GREEDY)
    for prompt in (STORY + "And the dog is", STORY + "And", STORY):
        reply = ask(gpt2, prompt, GREEDY)
        assert reply.finished.cached_tokens >= len(STORY) // 2
        assert reply.text == ask(fresh, prompt, GREEDY).text
        ask(fresh, "something else altogether", GREEDY)


def test_a_state_that_cannot_be_saved_misleads_nobody(gpt2: LocalEngine, start: Start) -> None:
    keeping = start(RANDOM, kv_memory_bytes=1 << 20, kv_min_tokens=8)
    prompts = [STORY + "And the dog", "Quite another story of the same length. " * 2, STORY]
    for prompt in prompts * 2:
        assert ask(keeping, prompt, GREEDY).text == ask(gpt2, prompt, GREEDY).text


def test_requests_wait_for_each_other_and_get_what_they_would_get_alone(gpt2: LocalEngine) -> None:
    prompts = [f"{i} stones and the" for i in range(6)]
    together = [CollectedReply(gpt2, prompt, GREEDY) for prompt in prompts]
    texts = [reply.wait().text for reply in together]
    assert texts == [ask(gpt2, prompt, GREEDY).text for prompt in prompts]


def test_a_cancelled_reply_makes_room_for_the_next(gpt2: LocalEngine) -> None:
    before = ask(gpt2, "again the", GREEDY).text
    endless = [CollectedReply(gpt2, f"{i} and", SamplingParams(max_tokens=200)) for i in range(3)]
    assert endless[0].begun.wait(180)
    for reply in endless:
        gpt2.cancel(reply.id)
    assert {reply.wait().finished.reason for reply in endless} <= {"cancelled", "stop", "length"}
    assert ask(gpt2, "again the", GREEDY).text == before


def test_a_reply_ends_where_the_context_ends(gpt2: LocalEngine) -> None:
    reply = ask(gpt2, TokenPrompt([97] * 200), SamplingParams(temperature=0))
    assert reply.finished.completion_tokens == 256 - 200
    assert ask(gpt2, TokenPrompt([97] * 256), GREEDY).failed.code == "context_length_exceeded"


def test_a_shorter_context_can_be_asked_for(start: Start) -> None:
    engine = start(RANDOM, n_ctx=64)
    assert ask(engine, "the " * 80, GREEDY).failed.code == "context_length_exceeded"
    assert ask(engine, TokenPrompt([97] * 60), GREEDY).finished.completion_tokens == 4


# The model recites them: characters of several bytes arrive in parts.
PARTS = [b"A", b" r", b"\xc3", b"\xb6", b"se", b" \xf0\x9f", b"\x8c", b"\xb9", b" is", b" a"]
PARTS += [b" flower", b".", ggml_writer.END, b"x"]


@pytest.fixture(scope="module")
def reciter(start: Start) -> LocalEngine:
    """Continues PARTS after the prompt, and ends."""
    return start(ggml_writer.reciting_gpt2(PARTS))


def test_bytes_of_tokens_are_put_together_and_the_last_token_ends(reciter: LocalEngine) -> None:
    reply = ask(reciter, "A", GREEDY)
    assert reply.text == " röse 🌹 is a flower."
    assert reply.finished.reason == "stop"


def test_a_stop_text_ends_the_reply_and_is_not_part_of_it(reciter: LocalEngine) -> None:
    stopping = SamplingParams(temperature=0, max_tokens=20, stop=("🌹 i",))
    reply = ask(reciter, "A", stopping)
    assert reply.text == " röse "
    assert reply.finished.reason == "stop"


def test_text_of_many_bytes_a_character_is_read_whole(gpt2: LocalEngine) -> None:
    text = "日本語 🌹" * 3
    assert ask(gpt2, text, GREEDY).finished.prompt_tokens == len(text.encode())


def test_what_a_person_typed_is_no_control_token(gpt2: LocalEngine) -> None:
    typed = ask(gpt2, ChatPrompt([ChatMessage("user", "<|endoftext|>" * 3)]), GREEDY)
    other = ask(gpt2, ChatPrompt([ChatMessage("user", "<|endofTEXT|>" * 3)]), GREEDY)
    assert typed.finished.prompt_tokens == other.finished.prompt_tokens
    assert ask(gpt2, "<|endoftext|>" * 3, GREEDY).finished.prompt_tokens == 3


@pytest.mark.parametrize("family", [name for name in ggml_writer.FAMILIES if name != "gpt2"])
def test_every_family_loads_and_replies(start: Start, family: str) -> None:
    model = ggml_writer.model(family, ggml_writer.random_weights())
    engine = start(model, family)
    first, second = (ask(engine, chat("How are the ants?"), GREEDY) for _ in range(2))
    assert first.finished.completion_tokens > 0
    assert first.text == second.text
    assert second.finished.cached_tokens > 0


# -- files that cannot be used --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (b"", "damaged"),
        (b"GGUF" + bytes(500), "GGUF"),
        (b"PK\x03\x04" + bytes(500), "not a GGML file"),
        (RANDOM[:-4000], "ends at byte"),
        (RANDOM[:4] + b"\xff\xff\xff\x7f" + RANDOM[8:], "n_vocab is 2147483647"),
        (RANDOM.replace(b"model/h1/ln_2/g", b"model/h7/ln_2/g"), "could not load model.bin"),
    ],
)
def test_a_damaged_file_is_refused_with_the_reason(start: Start, model: bytes, why: str) -> None:
    assert why in failure(start(model))


def test_a_file_that_kills_the_worker_is_given_up(start: Start) -> None:
    model = bytearray(ggml_writer.model("gptj", ggml_writer.random_weights()))
    model[24:28] = (1 << 30).to_bytes(4, "little")  # n_rot, which no tensor's shape confirms
    assert "SIGABRT" in failure(start(bytes(model), "gptj"))


def test_a_file_of_another_family_is_refused(start: Start) -> None:
    assert "another family" in failure(start(RANDOM, "replit"))
    known = failure(start(RANDOM, "gpt5"))
    assert all(name in known for name in FAMILIES)


def test_more_than_one_sequence_is_refused(start: Start) -> None:
    assert "n_seq_max must be 1" in failure(start(RANDOM, n_seq_max=2))


# -- what a request may ask for -------------------------------------------------------------------


FOREIGN = {
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "logit_bias": ((97, 1.0),),
    "ignore_eos": True,
    "grammar": 'root ::= "a"',
    "json_schema": "{}",
    "regex": "a+",
    "reproducible": True,
    "repeat_last_n": 8,
    "dry_multiplier": 1.0,
    "top_n_sigma": 1.0,
    "typical_p": 0.5,
    "xtc_probability": 0.5,
    "dynatemp_range": 0.5,
    "mirostat": 2,
    "samplers": ("top_k",),
}
OF_THESE = {
    *("dry_base", "dry_allowed_length", "dry_penalty_last_n", "dry_sequence_breakers"),
    *("xtc_threshold", "dynatemp_exponent", "mirostat_tau", "mirostat_eta"),
}
"""They mean nothing without another one."""


@pytest.mark.parametrize("name", FOREIGN)
def test_what_the_library_has_no_word_for_is_refused_by_name(gpt2: LocalEngine, name: str) -> None:
    sampling = SamplingParams(**{name: FOREIGN[name]})  # type: ignore[arg-type]
    refused = ask(gpt2, "the", sampling).failed
    field = {"json_schema": "response_format", "regex": "guided_regex"}.get(name, name)
    assert (refused.code, refused.param) == ("invalid_request", field)
    assert field in refused.message


def test_every_other_parameter_is_taken(gpt2: LocalEngine) -> None:
    others = {
        "max_tokens": 2,
        "temperature": 0.5,
        "top_k": 7,
        "top_p": 0.5,
        "min_p": 0.2,
        "repeat_penalty": 1.2,
        "logprobs": 2,
        "seed": 3,
        "stop": ("zzz",),
    }
    assert others.keys() | FOREIGN.keys() | OF_THESE == set(SamplingParams.__struct_fields__)
    reply = ask(gpt2, "the", SamplingParams(**others))  # type: ignore[arg-type]
    assert reply.finished.completion_tokens == 2


def test_a_high_min_p_leaves_the_likeliest_token(gpt2: LocalEngine) -> None:
    hot = {"temperature": 5.0, "top_k": 2**31 - 1, "top_p": 1.0, "max_tokens": 20, "seed": 4}
    likeliest = ask(gpt2, "Once upon a time", GREEDY).text
    only = SamplingParams(**hot, min_p=1.0)  # type: ignore[arg-type]
    anything = SamplingParams(**hot, min_p=0)  # type: ignore[arg-type]
    assert ask(gpt2, "Once upon a time", only).text == likeliest
    other = ask(gpt2, "Once upon a time", anything)
    assert other.finished.reason == "length"
    assert other.text != likeliest


def test_log_probabilities_are_the_models_own(reciter: LocalEngine) -> None:
    reply = ask(reciter, "A", SamplingParams(temperature=0, logprobs=2, max_tokens=1))
    (delta,) = [event for event in reply.events if isinstance(event, Delta)]
    assert delta.logprobs
    ((token, (first, second)),) = [(one.token, one.top) for one in delta.logprobs]
    assert token == first
    assert token.text == b" r"
    # All the others are equally unlikely.
    rest = len(PARTS) - 1
    assert math.exp(first.logprob) + rest * math.exp(second.logprob) == pytest.approx(1, abs=1e-5)


if __name__ == "__main__":
    sys.exit(main.main(factory(sys.argv[1])))


def test_embeddings_are_refused_by_name(gpt2: LocalEngine) -> None:
    failed = Vectors(gpt2, "x").failed
    assert (failed.code, failed.param) == ("invalid_request", "model")
    assert ask(gpt2, "hi").finished.reason in ("length", "stop")
