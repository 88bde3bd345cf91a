"""Fields that vLLM, SGLang, llama.cpp and Ollama have beside OpenAI's."""

import json
import re
from typing import Any

import httpx
import pytest

from tests.clients.peers.rows import (
    ADD,
    FAKE,
    REAL,
    WEATHER,
    Row,
    absent,
    count,
    refused,
    schema,
    some,
)
from tests.clients.scripted import thought

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
CONTENT = "choices.0.message.content"
TEXT = "choices.0.text"
WARNING = "@X-Appliance-Warning"
SUM: Any = [{"role": "user", "content": "What is 1+1?"}]
CARS: Any = ["sedan", 'the "SUV"', "coupé\n"]


def chat(**fields: Any) -> Any:
    return {"model": REAL, "messages": SUM, "temperature": 0, "max_tokens": 12, **fields}


def text(**fields: Any) -> Any:
    return {
        "model": REAL,
        "prompt": "One, two, three,",
        "temperature": 0,
        "max_tokens": 6,
        **fields,
    }


def echoed(words: str, *before: Any, **fields: Any) -> Any:
    messages = [*before, {"role": "user", "content": f"echo:{words}"}]
    return {"model": FAKE, "messages": messages, **fields}


BOUND: Any = schema(a={"enum": [1, 2]})
IS_BOUND = re.compile(r'^\{ ?"a": ?[12]\}$')

ROWS = (
    Row(
        "vLLM",
        "a field that a message hasn't",
        chat(messages=[{**SUM[0], "extra_field": "0"}]),
        {CONTENT: some, WARNING: re.compile(r"messages\[\]\.extra_field")},
    ),
    Row(
        "vLLM",
        "fields that a request hasn't",
        chat(foo=1, bar={"a": []}),
        {CONTENT: some, WARNING: re.compile("foo, bar")},
    ),
    # What a reply keeps to.
    Row(
        "vLLM", "a choice", chat(structured_outputs={"choice": CARS}), {CONTENT: CARS.__contains__}
    ),
    Row(
        "vLLM", "a choice by its older name", chat(guided_choice=CARS), {CONTENT: CARS.__contains__}
    ),
    Row(
        "vLLM",
        "a choice with log probabilities",
        chat(logprobs=True, top_logprobs=5, structured_outputs={"choice": CARS}),
        {
            "choices.0.logprobs.content.0.top_logprobs": lambda it: all(
                one["logprob"] >= -9999 for one in it
            )
        },
    ),
    Row(
        "vLLM",
        "a schema",
        chat(structured_outputs={"json": BOUND}, max_tokens=40),
        {CONTENT: IS_BOUND},
    ),
    Row(
        "vLLM",
        "a schema as a text",
        chat(structured_outputs={"json": json.dumps(BOUND)}, max_tokens=40),
        {CONTENT: IS_BOUND},
    ),
    Row(
        "vLLM",
        "a schema by its older name",
        chat(guided_json=BOUND, max_tokens=40),
        {CONTENT: IS_BOUND},
    ),
    Row(
        "vLLM",
        "a schema of a text",
        text(guided_json=BOUND, max_tokens=40),
        {TEXT: IS_BOUND},
        path=COMPLETIONS,
    ),
    Row(
        "llama.cpp",
        "a schema of an object",
        chat(response_format={"type": "json_object", "schema": BOUND}, max_tokens=40),
        {CONTENT: IS_BOUND},
    ),
    Row(
        "vLLM",
        "a grammar",
        chat(structured_outputs={"grammar": 'root ::= "a" | "b"'}),
        {CONTENT: re.compile("^[ab]$")},
    ),
    Row(
        "vLLM",
        "a grammar by its older name",
        chat(guided_grammar='root ::= "a" | "b"'),
        {CONTENT: re.compile("^[ab]$")},
    ),
    Row(
        "vLLM",
        "an invalid schema",
        text(structured_outputs={"json": {"type": "object", "properties": {"foo": "bar"}}}),
        refused(),
        400,
        COMPLETIONS,
    ),
    Row(
        "vLLM",
        "an invalid grammar",
        text(structured_outputs={"grammar": "root ::= none"}),
        refused(),
        400,
        COMPLETIONS,
    ),
    Row(
        "vLLM",
        "a regular expression of another type",
        chat(structured_outputs={"regex": {"1": "Python"}}),
        refused("regex"),
        400,
    ),
    Row(
        "vLLM",
        "two things at once",
        chat(guided_json=BOUND, guided_choice=CARS),
        refused("guided"),
        400,
    ),
    Row("vLLM", "no choice", chat(structured_outputs={"choice": [1]}), refused("choice"), 400),
    Row(
        "vLLM",
        "options of a stream without one",
        chat(stream_options={"include_usage": True}),
        {"usage.completion_tokens": some},
    ),
    # How a reply begins.
    Row(
        "SGLang",
        "the beginning of a reply",
        chat(
            continue_final_message=True,
            messages=[
                {"role": "user", "content": "Count in words."},
                {"role": "assistant", "content": "One, two, three, four,"},
            ],
        ),
        {CONTENT: re.compile("five")},
    ),
    Row(
        "vLLM",
        "it doesn't go with another beginning",
        chat(
            continue_final_message=True,
            add_generation_prompt=True,
            messages=[*SUM, {"role": "assistant", "content": "It"}],
        ),
        refused("add_generation_prompt"),
        400,
    ),
    Row(
        "vLLM",
        "the template's variables",
        echoed("Yes.", chat_template_kwargs={"enable_thinking": False}),
        {CONTENT: "Yes."},
    ),
    Row(
        "SGLang",
        "the template's switch",
        echoed("Yes.", chat_template_kwargs={"thinking": True}),
        {CONTENT: "Yes."},
    ),
    Row(
        "vLLM",
        "a thought that comes back",
        echoed("Yes.", SUM[0], {"role": "assistant", "content": "2", "reasoning": "Easy."}),
        {CONTENT: "Yes."},
    ),
    Row(
        "Ollama",
        "a thought before a call",
        echoed(
            "Warm.",
            SUM[0],
            {
                "role": "assistant",
                "reasoning": "Hm.",
                "tool_calls": [
                    {
                        "id": "a",
                        "type": "function",
                        "function": {"name": "get_weather", "arguments": "{}"},
                    }
                ],
            },
            {"role": "tool", "tool_call_id": "a", "content": "22"},
        ),
        {CONTENT: "Warm."},
    ),
    Row(
        "vLLM",
        "an assistant without content",
        echoed("Yes.", SUM[0], {"role": "assistant", "content": None}),
        {CONTENT: "Yes."},
    ),
    Row(
        "SGLang",
        "an effort for a model that has none",
        chat(reasoning_effort="high"),
        {CONTENT: some, WARNING: some},
    ),
    Row(
        "SGLang",
        "thoughts apart",
        echoed(thought("Hm.", "Yes."), separate_reasoning=True),
        {CONTENT: "Yes.", "choices.0.message.reasoning_content": re.compile("Hm")},
    ),
    # Sampling.
    Row(
        "vLLM",
        "sampling of its own",
        chat(top_k=-1, min_p=0.1, repetition_penalty=1.1),
        {CONTENT: some},
    ),
    Row("vLLM", "without a limit", chat(max_tokens=-1, stop="a"), {CONTENT: str}),
    Row("vLLM", "no tokens", chat(max_tokens=0), refused("max_tokens"), 400),
    # Text completions.
    Row(
        "SGLang",
        "the prompt comes back",
        text(echo=True),
        {TEXT: re.compile("^One, two, three, four")},
        path=COMPLETIONS,
    ),
    Row(
        "SGLang",
        "the prompts come back",
        text(prompt=["One, two,", "A, B,"], echo=True, n=2),
        {
            "choices": lambda it: (
                [one["text"].startswith("One") for one in it] == [True, True, False, False]
            )
        },
        path=COMPLETIONS,
    ),
    Row(
        "SGLang",
        "the prompt comes back in a stream",
        text(echo=True, stream=True),
        {"events.0.choices.0.text": re.compile("^One, two, three,")},
        path=COMPLETIONS,
    ),
    Row(
        "Ollama",
        "a text that is to be filled in",
        text(suffix="ten."),
        refused("suffix"),
        400,
        COMPLETIONS,
    ),
    # Vectors.
    Row(
        "SGLang",
        "short vectors",
        {"model": REAL, "input": ["a", "b", "c"], "dimensions": 256},
        {"data": lambda it: [len(one["embedding"]) for one in it] == [256] * 3},
        path=EMBEDDINGS,
    ),
    Row(
        "vLLM",
        "vectors with fields of its own",
        {"model": REAL, "input": "a", "truncate_prompt_tokens": 10, "normalize": True},
        {"data": count(1), WARNING: re.compile("truncate_prompt_tokens")},
        path=EMBEDDINGS,
    ),
    # Tools.
    Row(
        "vLLM",
        "tools in the older form",
        chat(functions=[ADD["function"]], function_call={"name": "add"}, max_tokens=60),
        {"choices.0.finish_reason": some},
    ),
    Row(
        "vLLM",
        "fields that a tool hasn't",
        chat(tools=[{**WEATHER, "cache": True}]),
        {
            CONTENT: lambda it: it is None or isinstance(it, str),
            WARNING: re.compile(r"tools\[\]\.cache"),
        },
    ),
    Row(
        "Ollama",
        "a film",
        chat(
            messages=[
                {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "x"}}]}
            ]
        ),
        refused("messages[0].content[0]"),
        400,
    ),
    Row(
        "vLLM",
        "a recording",
        chat(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}
                    ],
                }
            ]
        ),
        refused("messages[0].content[0]"),
        400,
    ),
    Row(
        "vLLM",
        "a refusal that comes back",
        echoed("Yes.", {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}),
        {CONTENT: "Yes.", "choices.0.message.tool_calls": absent},
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_it_is_answered(fake: httpx.Client, real: httpx.Client, row: Row) -> None:
    row.check(real if row.send["model"] == REAL else fake, CHAT)


def test_the_list_of_models_has_their_contexts(real: httpx.Client) -> None:
    """vLLM, SGLang: under the name that clients of theirs read."""
    (model,) = [it for it in real.get("/v1/models").json()["data"] if it["id"] == REAL]
    assert model["max_model_len"] == 8192
