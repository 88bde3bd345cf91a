"""What a reply counts, how long it may become, and what is reported of its tokens."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from appliance.api.chat.schemas import TurnIn
from appliance.api.dialects.legacy.schemas import LegacyRequest
from appliance.api.dialects.ollama.options import params_of
from appliance.api.dialects.openai.encoder import TextEncoder
from appliance.api.dialects.openai.schemas import ChatCompletionRequest, CompletionRequest
from appliance.api.dialects.responses.schemas import ResponsesRequest
from appliance.engine.protocol import Delta, Logprobs, TokenLogprob
from appliance.engine.types import SamplingParams
from appliance.models.local.ollama_options import read_options
from tests.api.chat.chats import new_session, stream
from tests.running import Running

N_CTX = 256
MODEL = "smollm2-135m-instruct"
HELLO = [{"role": "user", "content": "Tell me about the sea."}]
WARNING = "X-Appliance-Warning"


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance without a limit of its own, with a context that is soon full."""
    settings = {"LIMITS_MAX_RESPONSE_TOKENS": "0", "ENGINE_N_CTX": str(N_CTX)}
    folder = tmp_path_factory.mktemp("short")
    appliance = Running(folder, **{f"APPLIANCE_{k}": v for k, v in settings.items()}).start()
    yield appliance
    assert appliance.stop() == 0


def post(appliance: Running, path: str, **body: Any) -> httpx.Response:
    response = httpx.post(appliance.url + path, json=body, timeout=120)
    assert response.status_code == 200, response.text
    return response


def whole(appliance: Running, path: str, **body: Any) -> dict[str, Any]:
    """The usage of a reply."""
    found: dict[str, Any] = post(appliance, path, **body).json()["usage"]
    return found


def streamed(appliance: Running, path: str, **body: Any) -> dict[str, Any]:
    """The usage at the end of a stream."""
    options = {"stream": True, "stream_options": {"include_usage": True}}
    lines = post(appliance, path, **body, **options).text.splitlines()
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    last: dict[str, Any] = chunks[-1]["usage"]
    return last


# -- usage -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("usage_of", [whole, streamed])
def test_a_prompt_counts_once_whatever_choices_it_has(
    running: Running, usage_of: Callable[..., dict[str, Any]]
) -> None:
    def chat(n: int, question: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"{question} {usage_of.__name__}"}]
        body = {"messages": messages, "max_tokens": 3, "ignore_eos": True, "n": n}
        return usage_of(running, "/v1/chat/completions", **body)

    one, three = chat(1, "How deep is the sea?"), chat(3, "How wide is the sea?")
    assert three["prompt_tokens"] == one["prompt_tokens"]
    assert three["completion_tokens"] == 9
    assert three["total_tokens"] == three["prompt_tokens"] + 9
    # What its first choice computed, the others share: it was not cached when the request came.
    cached = [usage["prompt_tokens_details"]["cached_tokens"] for usage in (one, three)]
    assert cached[1] < three["prompt_tokens"] - 4
    again = chat(3, "How wide is the sea?")["prompt_tokens_details"]
    assert again["cached_tokens"] == three["prompt_tokens"] - 1
    assert again["cached_from"]


@pytest.mark.parametrize("usage_of", [whole, streamed])
def test_every_prompt_counts_once_whatever_choices_they_have(
    running: Running, usage_of: Callable[..., dict[str, Any]]
) -> None:
    def text(prompt: Any, n: int) -> dict[str, Any]:
        body = {"max_tokens": 2, "ignore_eos": True, "n": n}
        return usage_of(running, "/v1/completions", prompt=prompt, **body)

    first, second = "The sea is deep, " * 20, "The sky over the mountains is high, " * 20
    lengths = [text(prompt, 1)["prompt_tokens"] for prompt in (first, second)]
    assert lengths[0] < lengths[1]
    both = text([first, second], 2)
    assert both["prompt_tokens"] == sum(lengths)
    assert both["completion_tokens"] == 8
    assert both["prompt_tokens_details"]["cached_tokens"] == sum(lengths) - 2


# -- log probabilities -----------------------------------------------------------------------------


def test_the_sampled_token_is_among_the_likeliest_or_beside_them(running: Running) -> None:
    body = {"prompt": "The sea is", "max_tokens": 24, "temperature": 2, "min_p": 0, "top_p": 1}
    body |= {"top_k": 0, "ignore_eos": True, "seed": 3}
    beside = 0
    for wanted in (0, 2):
        response = post(running, "/v1/completions", **body, logprobs=wanted).json()
        found = response["choices"][0]["logprobs"]
        told = zip(found["tokens"], found["token_logprobs"], found["top_logprobs"], strict=True)
        for token, logprob, top in told:
            assert top[token] == logprob
            assert len(top) in (max(wanted, 1), wanted + 1)
            beside += len(top) > wanted
    assert beside > 24  # at that temperature, not only where none were wanted


def test_offsets_count_characters_also_of_several_tokens() -> None:
    """An emoji of four tokens is one character, however the stream is cut."""
    texts = [b"a\xc3\xa9 ", b"\xf0\x9f", b"\x8c", b"\x8a", b"b", b"\xe2\x82\xac"]
    entries = [Logprobs(TokenLogprob(text, -1.0), []) for text in texts]
    encoder = TextEncoder("m")
    found: list[tuple[str, int]] = []
    for part in (entries[:2], entries[2:3], entries[3:]):
        sent = encoder.event(0, Delta(1, "", 1, logprobs=part))
        told = json.loads(sent.removeprefix(b"data: "))["choices"][0]["logprobs"]
        found += zip(told["tokens"], told["text_offset"], strict=True)
    parts = ["aé ", "bytes:\\xf0\\x9f", "bytes:\\x8c", "bytes:\\x8a", "b", "€"]
    assert found == list(zip(parts, [0, 3, 3, 3, 4, 5], strict=True))


# -- seeds -----------------------------------------------------------------------------------------


SAMPLED: list[Callable[[Any], SamplingParams]] = [
    lambda seed: ChatCompletionRequest(messages=[], seed=seed).params(0),
    lambda seed: CompletionRequest(prompt="a", seed=seed).params(0),
    lambda seed: LegacyRequest(prompt="a", seed=seed).params(0),
    lambda seed: TurnIn(content="a", seed=seed).params(0),
    lambda seed: params_of(read_options({"seed": seed}), 0, json_schema=None, logprobs=None),
]


@pytest.mark.parametrize("params", SAMPLED, ids=["chat", "text", "legacy", "turn", "ollama"])
def test_null_and_minus_one_mean_any_seed(params: Callable[[Any], SamplingParams]) -> None:
    assert [params(seed).seed for seed in (None, -1, 5)] == [None, None, 5]


def test_minus_one_is_another_seed_each_time(running: Running) -> None:
    def say(seed: int) -> str:
        body = {"prompt": "The sea", "max_tokens": 24, "temperature": 2, "ignore_eos": True}
        response = post(running, "/v1/completions", **body, seed=seed).json()
        text: str = response["choices"][0]["text"]
        return text

    assert len({say(-1) for _ in range(4)}) > 1
    assert len({say(-2) for _ in range(2)}) == 1


REPRODUCIBLE: list[Callable[..., SamplingParams]] = [
    lambda **it: ChatCompletionRequest(messages=[], **it).params(0),
    lambda **it: CompletionRequest(prompt="a", **it).params(0),
    lambda **it: LegacyRequest(prompt="a", **it).turn().params(0),
    lambda **it: ResponsesRequest(**it).sampling(0, {}),
]


@pytest.mark.parametrize("params", REPRODUCIBLE, ids=["chat", "text", "legacy", "responses"])
def test_a_reply_can_be_reproducible(params: Callable[..., SamplingParams]) -> None:
    found = params(seed=4, reproducible=True)
    assert (found.seed, found.reproducible) == (4, True)
    assert not params(seed=4).reproducible


def test_the_fingerprint_names_what_computes(running: Running) -> None:
    exact = {"max_tokens": 3, "seed": 1, "temperature": 1, "reproducible": True}
    body = {"messages": HELLO, **exact}
    whole = [post(running, "/v1/chat/completions", **body).json() for _ in range(2)]
    assert whole[0]["choices"] == whole[1]["choices"]
    assert whole[0]["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    fingerprint = whole[0]["system_fingerprint"]
    assert fingerprint.startswith("fp_")
    chunks = post(running, "/v1/completions", prompt="The sea", stream=True, **exact).text
    text = post(running, "/v1/completions", prompt="The sea", **exact).json()
    assert text["system_fingerprint"] == fingerprint
    assert chunks.count(fingerprint) == chunks.count('"object":"text_completion"')


# -- how long a reply may become -------------------------------------------------------------------


REQUESTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "/v1/chat/completions": lambda n: {"messages": HELLO, "max_tokens": n, "stream": True},
    "/v1/completions": lambda n: {"prompt": "The sea", "max_tokens": n, "stop": "e"},
    "/v1/responses": lambda n: {"input": "Hi", "max_output_tokens": n, "stream": True},
    "/v1/messages": lambda n: {"model": MODEL, "messages": HELLO, "max_tokens": n, "stream": True},
    "/api/chat": lambda n: {"model": MODEL, "messages": HELLO, "options": {"num_predict": n}},
    "/v1/completions?": lambda n: {"prompt": "The sea", "max_token": n, "stop": "e"},
}


def headers(appliance: Running, path: str, body: dict[str, Any]) -> httpx.Headers:
    """What comes before a reply, which nobody waits for."""
    with httpx.stream("POST", appliance.url + path, json=body, timeout=120) as response:
        assert response.status_code == 200, response.read()
        return response.headers


@pytest.mark.parametrize("path", list(REQUESTS))
def test_what_is_cut_is_reported(running: Running, path: str) -> None:
    more, fits = (headers(running, path, REQUESTS[path](n)) for n in (401, 8))
    assert more[WARNING] == (
        "401 tokens were requested, and a reply may have 400: limits.max_response_tokens"
    )
    assert WARNING not in fits


@pytest.mark.parametrize("path", list(REQUESTS))
def test_the_context_is_the_limit_where_nobody_set_one(short: Running, path: str) -> None:
    more, fits = (headers(short, path, REQUESTS[path](n)) for n in (100_000, 8))
    assert more[WARNING].startswith("100000 tokens were requested, and the context has room for 2")
    assert WARNING not in fits


def test_a_reply_that_nobody_limits_fills_the_context(short: Running) -> None:
    body = {"messages": HELLO, "ignore_eos": True}
    response = post(short, "/v1/chat/completions", **body)
    assert response.json()["usage"]["total_tokens"] == N_CTX
    assert response.json()["choices"][0]["finish_reason"] == "length"
    assert WARNING not in response.headers


def test_a_chat_reports_it_too_and_its_settings_name_no_limit(short: Running) -> None:
    session = new_session(short)
    asked = {"content": "Hello", "max_tokens": 100_000}
    accepted = next(
        data for name, data in stream(session + "/turns", **asked) if name == "accepted"
    )
    room = N_CTX - accepted["prompt_tokens"]
    assert accepted["warning"] == (
        f"100000 tokens were requested, and the context has room for {room}"
    )
    told = httpx.get(short.url + "/api/settings").json()
    assert told["defaults"]["max_tokens"] is None
    assert told["limits"]["max_response_tokens"] == 0
    anthropic = httpx.get(short.url + "/v1/models", headers={"anthropic-version": "2023-06-01"})
    assert anthropic.json()["data"][0]["max_tokens"] == N_CTX
