"""Text completions and embeddings, as vLLM's, SGLang's and Ollama's tests ask for them."""

import base64
import itertools
import re
import struct
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.clients.peers.rows import FAKE, REAL, Row, absent, count, refused, schema, some, text_of
from tests.running import Running

PROMPT = "The capital of France is"
TOKENS = [504, 3575, 282, 4649, 314]
"""The same prompt in the embedded model's tokens."""
COLD: Any = {"model": REAL, "prompt": PROMPT, "temperature": 0, "max_tokens": 5}
TEXT = "choices.0.text"


def cold(**fields: Any) -> Any:
    return {**COLD, **fields}


def sums(value: Any) -> bool:
    return bool(value["total_tokens"] == value["prompt_tokens"] + value["completion_tokens"])


COMPLETIONS = (
    Row(
        "vLLM",
        "the fields of an answer",
        cold(),
        {
            "id": re.compile("^cmpl-"),
            "object": "text_completion",
            "created": int,
            "model": REAL,
            "choices": count(1),
            TEXT: re.compile("Paris"),
            "choices.0.finish_reason": "length",
            "choices.0.logprobs": absent,
            "usage": sums,
            "usage.completion_tokens": 5,
            "usage.prompt_tokens": len(TOKENS),
            "usage.prompt_tokens_details.cached_tokens": int,
        },
    ),
    Row(
        "vLLM",
        "tokens as the prompt",
        cold(prompt=TOKENS),
        {TEXT: re.compile("Paris"), "usage.prompt_tokens": len(TOKENS)},
    ),
    Row("vLLM", "tokens of no text", cold(prompt=[0, 0, 0, 0, 0]), {TEXT: str}),
    Row(
        "vLLM",
        "two texts",
        cold(prompt=[PROMPT, PROMPT]),
        {
            "choices": lambda it: (
                [one["index"] for one in it] == [0, 1] and it[0]["text"] == it[1]["text"]
            ),
            "usage.prompt_tokens": 2 * len(TOKENS),
        },
    ),
    Row(
        "vLLM",
        "two lists of tokens",
        cold(prompt=[TOKENS, TOKENS]),
        {"choices": lambda it: it[0]["text"] == it[1]["text"]},
    ),
    Row(
        "vLLM",
        "two texts, two choices each",
        cold(prompt=[PROMPT, PROMPT], n=2),
        {"choices": lambda it: [one["index"] for one in it] == [0, 1, 2, 3]},
    ),
    Row(
        "vLLM",
        "no log probabilities beside the sampled one",
        cold(logprobs=0),
        {
            "choices.0.logprobs.top_logprobs.0": lambda it: len(it) == 1,
            "choices.0.logprobs.token_logprobs": count(5),
        },
    ),
    Row(
        "vLLM",
        "five log probabilities",
        cold(logprobs=5),
        {
            "choices.0.logprobs.top_logprobs.0": lambda it: 5 <= len(it) <= 6,
            "choices.0.logprobs.tokens": count(5),
            "choices.0.logprobs.text_offset.0": int,
        },
    ),
    Row(
        "vLLM",
        "three different choices",
        cold(n=3, temperature=1.3, seed=42, max_tokens=8, logprobs=0),
        {"choices": lambda it: len({one["text"] for one in it}) > 1},
    ),
    Row(
        "vLLM",
        "a stream of two prompts",
        cold(prompt=[PROMPT, PROMPT], stream=True),
        {"events": lambda it: {one["choices"][0]["index"] for one in it} == {0, 1}},
    ),
    Row(
        "vLLM",
        "a stream without usage",
        cold(stream=True, stream_options={"include_usage": False}),
        {"events": lambda it: not any(one.get("usage") for one in it)},
    ),
    Row(
        "vLLM",
        "a stream with usage",
        cold(stream=True, stream_options={"include_usage": True}),
        {
            "events": lambda it: (
                it[-1]["choices"] == []
                and sums(it[-1]["usage"])
                and not any(one.get("usage") for one in it[:-1])
            )
        },
    ),
    Row(
        "vLLM",
        "a stream that ends once",
        cold(stream=True),
        {
            "events": lambda it: (
                [
                    one["choices"][0]["finish_reason"]
                    for one in it
                    if one["choices"][0]["finish_reason"]
                ]
                == ["length"]
                and "Paris" in text_of(it)
            )
        },
    ),
    Row(
        "SGLang",
        "stopped at a text",
        cold(stop="\n", max_tokens=60),
        {TEXT: lambda it: "\n" not in it},
    ),
    Row(
        "SGLang",
        "stopped at one of several",
        cold(stop=["Paris", "Lyon"], max_tokens=20),
        {TEXT: lambda it: "Paris" not in it, "choices.0.finish_reason": "stop"},
    ),
    Row(
        "SGLang",
        "the end is ignored",
        cold(ignore_eos=True, max_tokens=30),
        {"usage.completion_tokens": 30},
    ),
    Row(
        "SGLang",
        "a schema",
        cold(
            max_tokens=40,
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": schema(a={"enum": [1, 2]})},
            },
        ),
        {TEXT: re.compile(r'^\{ ?"a": ?[12]\}$')},
    ),
    Row("vLLM", "no more than a token", cold(max_tokens=1), {"usage.completion_tokens": 1}),
    Row(
        "Ollama", "a temperature and stops", cold(temperature=0.8, stop=["\n", "stop"]), {TEXT: str}
    ),
    Row("vLLM", "no echo", cold(echo=False), {TEXT: lambda it: not it.startswith(PROMPT)}),
    Row("vLLM", "best of one", cold(best_of=1), {TEXT: some}),
    # What isn't possible.
    Row("vLLM", "too many log probabilities", cold(logprobs=21), refused("logprobs"), 400),
    Row("vLLM", "too many, streamed", cold(logprobs=30, stream=True), refused("logprobs"), 400),
    Row("vLLM", "fewer than none", cold(logprobs=-1), refused("logprobs"), 400),
    Row("vLLM", "an empty list", cold(prompt=[]), refused("prompt"), 400),
    Row("vLLM", "an empty list of tokens", cold(prompt=[[]]), refused("prompt"), 400),
    Row("vLLM", "no prompt", {"model": REAL}, refused("prompt"), 400),
    Row("vLLM", "null as the prompt", cold(prompt=None), refused("prompt"), 400),
    Row("vLLM", "texts and tokens mixed", cold(prompt=["a", 1]), refused("prompt"), 400),
    Row("vLLM", "an object as the prompt", cold(prompt={"text": "a"}), refused("prompt"), 400),
    Row("vLLM", "a token out of the vocabulary", cold(prompt=[999999]), refused("49151"), 400),
    Row("vLLM", "a negative token", cold(prompt=[-1]), refused("prompt"), 400),
    Row(
        "vLLM", "a prompt beyond the context", cold(prompt="hello " * 9000), refused("context"), 400
    ),
    Row("vLLM", "tokens beyond the context", cold(prompt=[504] * 9000), refused("context"), 400),
    Row(
        "vLLM",
        "an invalid schema",
        cold(
            response_format={
                "type": "json_schema",
                "json_schema": {
                    "name": "a",
                    "schema": {"type": "object", "properties": {"foo": "bar"}},
                },
            }
        ),
        refused("response_format"),
        400,
    ),
    Row("Ollama", "numbers to stop at", cold(temperature=None, stop=[1, 2]), refused("stop"), 400),
    Row(
        "SGLang",
        "a model that isn't here",
        cold(model="nothing"),
        {"error.code": "model_not_found"},
        404,
    ),
)


@pytest.mark.parametrize("row", COMPLETIONS, ids=str)
def test_completions(real: httpx.Client, row: Row) -> None:
    row.check(real, "/v1/completions")


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.mark.parametrize(
    ("logprobs", "listed", "n", "tokens"),
    list(itertools.product((None, 5), (False, True), (1, 2), (False, True))),
)
def test_streams_of_all_forms(
    client: openai.OpenAI, logprobs: int | None, listed: bool, n: int, tokens: bool
) -> None:
    """SGLang: prompts in a list, in tokens, with several choices, with log probabilities."""
    one: Any = TOKENS if tokens else PROMPT
    body = cold(prompt=[one, one] if listed else one, n=n, logprobs=logprobs, max_tokens=3)
    whole = client.completions.create(**body)
    chunks: Any = client.completions.create(
        **body, stream=True, extra_body={"stream_options": {"include_usage": True}}
    )
    texts: dict[int, str] = defaultdict(str)
    pieces: dict[int, list[str]] = defaultdict(list)
    usage = None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            if choice.logprobs:
                pieces[choice.index] += choice.logprobs.tokens
                assert all(5 <= len(it) <= 6 for it in choice.logprobs.top_logprobs)
    assert len(whole.choices) == n * (2 if listed else 1)
    assert usage
    assert whole.usage
    assert usage.total_tokens == whole.usage.total_tokens
    assert whole.usage.prompt_tokens == len(TOKENS) * (2 if listed else 1)
    for choice in whole.choices:
        assert texts[choice.index] == choice.text
        if logprobs:
            assert choice.logprobs
            assert pieces[choice.index] == choice.logprobs.tokens
            assert choice.text == "".join(choice.logprobs.tokens or ())


VECTORS = "/v1/embeddings"


def norm(vector: Any) -> bool:
    return bool(sum(x * x for x in vector) == pytest.approx(1, abs=1e-3))


EMBEDDINGS = (
    Row(
        "vLLM",
        "a text",
        {"model": REAL, "input": "Hello world"},
        {
            "object": "list",
            "data": count(1),
            "data.0.index": 0,
            "data.0.object": "embedding",
            "data.0.embedding": lambda it: len(it) == 576 and norm(it),
            "model": REAL,
            "usage": lambda it: it["prompt_tokens"] == it["total_tokens"] > 0,
        },
    ),
    Row(
        "SGLang", "a text in a list", {"model": REAL, "input": ["Hello world"]}, {"data": count(1)}
    ),
    Row(
        "vLLM",
        "three texts",
        {"model": REAL, "input": ["a", "b", "c"]},
        {"data": lambda it: [one["index"] for one in it] == [0, 1, 2]},
    ),
    Row(
        "SGLang",
        "tokens",
        {"model": REAL, "input": TOKENS},
        {"data": count(1), "usage.prompt_tokens": len(TOKENS)},
    ),
    Row(
        "vLLM",
        "lists of tokens",
        {"model": REAL, "input": [[4, 5, 7], [15, 29], [24]]},
        {"data": count(3), "usage.prompt_tokens": 6},
    ),
    Row(
        "vLLM",
        "numbers",
        {"model": REAL, "input": "a", "encoding_format": "float"},
        {"data.0.embedding": list},
    ),
    Row(
        "vLLM",
        "base64",
        {"model": REAL, "input": "a", "encoding_format": "base64"},
        {"data.0.embedding": lambda it: len(base64.b64decode(it)) == 4 * 576},
    ),
    Row(
        "vLLM",
        "all of its numbers",
        {"model": REAL, "input": "a", "dimensions": 576},
        {"data.0.embedding": count(576)},
    ),
    Row("SGLang", "an empty text", {"model": REAL, "input": ""}, refused("input"), 400),
    Row("SGLang", "an empty list", {"model": REAL, "input": []}, refused("input"), 400),
    Row(
        "SGLang",
        "an empty text in a list",
        {"model": REAL, "input": ["a", ""]},
        refused("input"),
        400,
    ),
    Row("Ollama", "no input", {"model": REAL}, refused("input"), 400),
    Row("SGLang", "a negative token", {"model": REAL, "input": [-1]}, refused("input"), 400),
    Row(
        "SGLang",
        "no dimension",
        {"model": REAL, "input": "a", "dimensions": 0},
        refused("dimensions"),
        400,
    ),
    Row(
        "SGLang",
        "fewer than none",
        {"model": REAL, "input": "a", "dimensions": -1},
        refused("dimensions"),
        400,
    ),
    Row(
        "SGLang",
        "more than it has",
        {"model": REAL, "input": "a", "dimensions": 10000},
        refused("dimensions"),
        400,
    ),
    Row(
        "vLLM",
        "an unknown encoding",
        {"model": REAL, "input": "a", "encoding_format": "hex"},
        refused("encoding_format"),
        400,
    ),
    Row(
        "vLLM",
        "a text beyond the context",
        {"model": REAL, "input": "word " * 9000},
        {**refused("9001", "8192"), "error.code": "context_length_exceeded"},
        400,
    ),
    Row("Ollama", "an object", {"model": REAL, "input": {"a": 1}}, refused("input"), 400),
    Row(
        "SGLang",
        "a model that isn't here",
        {"model": "nothing", "input": "a"},
        {"error.code": "model_not_found"},
        404,
    ),
)


@pytest.mark.parametrize("row", EMBEDDINGS, ids=str)
def test_embeddings(real: httpx.Client, row: Row) -> None:
    row.check(real, VECTORS)


def test_one_vector_in_both_encodings(client: openai.OpenAI, real: httpx.Client) -> None:
    """vLLM: base64 has the same numbers, and the client asks for it by itself."""
    numbers: Any = client.embeddings.create(model=REAL, input=["Hi", "Ho"], encoding_format="float")
    usual = client.embeddings.create(model=REAL, input=["Hi", "Ho"])
    body = {"model": REAL, "input": ["Hi", "Ho"], "encoding_format": "base64"}
    packed = real.post(VECTORS, json=body).json()["data"]
    for one, other, text in zip(numbers.data, usual.data, packed, strict=True):
        unpacked = struct.unpack("<576f", base64.b64decode(text["embedding"]))
        assert list(unpacked) == pytest.approx(one.embedding, abs=1e-6)
        assert other.embedding == pytest.approx(one.embedding, abs=1e-6)


def test_a_batch_is_as_its_texts(client: openai.OpenAI) -> None:
    """vLLM, Ollama: a text has the same vector alone and among others."""
    texts = ["The cat sat on the mat.", "A feline lay on a rug.", "Stars shine at night."]
    together = client.embeddings.create(model=REAL, input=texts).data
    for text, one in zip(texts, together, strict=True):
        alone = client.embeddings.create(model=REAL, input=text).data[0].embedding
        assert sum(a * b for a, b in zip(alone, one.embedding, strict=True)) > 0.999


SCRIPTED = (
    Row(
        "vLLM",
        "stopped at a text",
        {"model": FAKE, "prompt": "echo:one two\x03", "stop": "two"},
        {TEXT: "one ", "choices.0.finish_reason": "stop"},
    ),
    Row(
        "vLLM",
        "stopped in a stream",
        {"model": FAKE, "prompt": "echo:one two\x03", "stop": ["two"], "stream": True},
        {"events": lambda it: text_of(it) == "one "},
    ),
    Row(
        "SGLang",
        "ended by the model",
        {"model": FAKE, "prompt": "echo:Yes\x03"},
        {TEXT: "Yes", "choices.0.finish_reason": "stop"},
    ),
    Row(
        "SGLang",
        "cut",
        {"model": FAKE, "prompt": "echo:abcdef\x03", "max_tokens": 3},
        {TEXT: "abc", "choices.0.finish_reason": "length"},
    ),
)


@pytest.mark.parametrize("row", SCRIPTED, ids=str)
def test_scripted_completions(fake: httpx.Client, row: Row) -> None:
    row.check(fake, "/v1/completions")
