"""Ollama's API, as its routes' tests and its integration tests ask for it."""

import json
import re
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tests.clients.peers.rows import (
    ADD,
    FAKE,
    NOWHERE,
    REAL,
    WEATHER,
    Row,
    absent,
    count,
    schema,
    some,
)
from tests.clients.scripted import call, thought

CHAT = "/api/chat"
GENERATE = "/api/generate"
EMBED = "/api/embed"
OLD_EMBED = "/api/embeddings"
SHOW = "/api/show"
SKY: Any = [{"role": "user", "content": "Why is the sky blue?"}]
ANSWER = "message.content"
FEW: Any = {"temperature": 0, "seed": 123, "num_predict": 5}


def chat(**fields: Any) -> Any:
    """A short chat with the real model."""
    return {"model": REAL, "messages": SKY, "options": FEW, "stream": False, **fields}


def generate(**fields: Any) -> Any:
    """A short text of the real model."""
    return {"model": REAL, "prompt": "Why is it blue?", "options": FEW, "stream": False, **fields}


def echoed(text: str, **fields: Any) -> Any:
    """A chat that the scripted model answers with a text."""
    messages = [{"role": "user", "content": f"echo:{text}"}]
    return {"model": FAKE, "messages": messages, "stream": False, **fields}


def error(*words: str) -> Mapping[str, Any]:
    """An error in Ollama's form: a text, here with these words."""
    return {"error": lambda it: isinstance(it, str) and all(word in it for word in words)}


FIGURES: Any = {
    name: lambda it: isinstance(it, int) and it > 0
    for name in (
        *("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration"),
        *("eval_count", "eval_duration"),
    )
}


def streamed(value: Any) -> bool:
    """Lines of which the last one alone has ended, and has the figures and a reason."""
    last = value[-1]
    return (
        all(not one["done"] and "total_duration" not in one for one in value[:-1])
        and last["done"] is True
        and last["done_reason"] in ("stop", "length")
        and all(last[name] > 0 for name in FIGURES)
        and all(one["model"] and one["created_at"] for one in value)
    )


def joined(field: str, *, of: str = "message") -> Any:
    """What a field of the lines' messages adds up to; `of` empty: of the lines themselves."""
    return lambda lines: "".join((one[of] if of else one).get(field) or "" for one in lines)


REAL_ROWS = (
    Row(
        "Ollama",
        "a chat",
        chat(),
        {
            "model": REAL,
            "created_at": re.compile("^20.*T.*"),
            "message.role": "assistant",
            ANSWER: some,
            "done": True,
            "done_reason": "length",
            "eval_count": 5,
            **FIGURES,
        },
    ),
    Row(
        "Ollama",
        "a chat in lines",
        chat(stream=True),
        {"lines": streamed, "@content-type": re.compile("^application/x-ndjson")},
    ),
    Row(
        "Ollama",
        "in lines unless otherwise wanted",
        {"model": REAL, "messages": SKY, "options": FEW},
        {"lines": streamed},
    ),
    Row(
        "Ollama",
        "a text",
        generate(),
        {"model": REAL, "response": some, "done": True, "done_reason": "length", **FIGURES},
        path=GENERATE,
    ),
    Row("Ollama", "a text in lines", generate(stream=True), {"lines": streamed}, path=GENERATE),
    Row(
        "Ollama",
        "a raw prompt",
        generate(raw=True, prompt="One, two, three,"),
        {"response": some, "context": absent},
        path=GENERATE,
    ),
    Row(
        "Ollama", "a system prompt", generate(system="You help."), {"response": some}, path=GENERATE
    ),
    Row(
        "Ollama",
        "system messages in between",
        chat(
            messages=[
                {"role": "system", "content": "You help."},
                *SKY,
                {"role": "assistant", "content": "Hm."},
                {"role": "system", "content": "Be brief."},
                *SKY,
            ]
        ),
        {ANSWER: some},
    ),
    Row(
        "Ollama",
        "a schema",
        chat(
            options={"num_predict": 60},
            format=schema(
                age={"type": "integer", "minimum": 0, "maximum": 99}, ok={"type": "boolean"}
            ),
        ),
        {ANSWER: lambda it: set(json.loads(it)) == {"age", "ok"}},
    ),
    Row("Ollama", "JSON", chat(format="json"), {ANSWER: re.compile(r"^\{")}),
    Row(
        "Ollama",
        "a schema for a text",
        generate(options={"num_predict": 40}, format=schema(ok={"type": "boolean"})),
        {"response": lambda it: set(json.loads(it)) == {"ok"}},
        path=GENERATE,
    ),
    Row("Ollama", "no format", chat(format=""), {ANSWER: some}),
    Row("Ollama", "no format by null", chat(format=None), {ANSWER: some}),
    Row(
        "Ollama",
        "log probabilities",
        chat(logprobs=True, top_logprobs=3),
        {
            "logprobs": count(5),
            "logprobs.0.token": str,
            "logprobs.0.logprob": lambda it: it <= 0,
            "logprobs.0.top_logprobs": count(3),
        },
    ),
    Row(
        "Ollama",
        "log probabilities of a text",
        generate(logprobs=True),
        {"logprobs": count(5)},
        path=GENERATE,
    ),
    Row(
        "Ollama",
        "all options",
        chat(
            options={
                **FEW,
                "num_ctx": 2048,
                "num_keep": 4,
                "top_k": 20,
                "top_p": 0.9,
                "min_p": 0.0,
                "typical_p": 1.0,
                "repeat_last_n": 33,
                "repeat_penalty": 1.1,
                "presence_penalty": 0.5,
                "frequency_penalty": 0.5,
                "penalize_newline": True,
                "stop": ["zzz"],
                "numa": False,
                "num_batch": 2,
                "num_gpu": 0,
                "main_gpu": 0,
                "use_mmap": True,
                "num_thread": 2,
            }
        ),
        {ANSWER: str},
    ),
    Row("Ollama", "a tool that may be called", chat(tools=[WEATHER, ADD]), {"message": dict}),
    Row(
        "Ollama",
        "an empty chat loads",
        {"model": REAL},
        {
            "done": True,
            "done_reason": "load",
            ANSWER: "",
            "message.role": "assistant",
            "total_duration": absent,
        },
    ),
    Row("Ollama", "no messages load", {"model": REAL, "messages": []}, {"done_reason": "load"}),
    Row(
        "Ollama",
        "an empty prompt loads",
        {"model": REAL},
        {"done": True, "done_reason": "load", "response": ""},
        path=GENERATE,
    ),
    Row("Ollama", "a name with a tag", chat(model=f"{REAL}:latest"), {"model": f"{REAL}:latest"}),
    Row("Ollama", "a name in capitals", chat(model=REAL.upper()), {ANSWER: some}),
    # Embeddings.
    Row(
        "Ollama",
        "a vector",
        {"model": REAL, "input": "why is the sky blue?"},
        {
            "embeddings": count(1),
            "embeddings.0": count(576),
            "model": REAL,
            "prompt_eval_count": lambda it: 5 <= it <= 7,
            "total_duration": some,
            "load_duration": int,
        },
        path=EMBED,
    ),
    Row(
        "Ollama",
        "two vectors",
        {"model": REAL, "input": ["why?", "how?"]},
        {"embeddings": count(2)},
        path=EMBED,
    ),
    Row("Ollama", "no vectors", {"model": REAL, "input": []}, {"embeddings": []}, path=EMBED),
    Row(
        "Ollama",
        "a short vector",
        {"model": REAL, "input": "a", "dimensions": 32},
        {"embeddings.0": count(32)},
        path=EMBED,
    ),
    Row(
        "Ollama",
        "an input that may not be cut",
        {"model": REAL, "input": "why " * 9000, "truncate": False},
        error("context length"),
        400,
        path=EMBED,
    ),
    Row(
        "Ollama",
        "the older route",
        {"model": REAL, "prompt": "why?"},
        {"embedding": count(576)},
        path=OLD_EMBED,
    ),
    Row(
        "Ollama",
        "the older route without a prompt",
        {"model": REAL},
        {"embedding": []},
        path=OLD_EMBED,
    ),
    Row(
        "Ollama",
        "an input of another type",
        {"model": REAL, "input": {"a": 1}},
        error("input"),
        400,
        path=EMBED,
    ),
    # What a model is.
    Row(
        "Ollama",
        "a model",
        {"model": REAL},
        {
            "details.format": "gguf",
            "details.family": "llama",
            "details.parameter_size": some,
            "details.quantization_level": some,
            "model_info": some,
            "template": some,
            "parameters": some,
            "modified_at": re.compile("^20"),
            "capabilities.0": "completion",
            "modelfile": str,
        },
        path=SHOW,
    ),
    Row(
        "Ollama",
        "a model by its older field",
        {"name": REAL},
        {"details.family": "llama"},
        path=SHOW,
    ),
    Row(
        "Ollama",
        "a model that isn't here",
        {"model": "nothing"},
        error("nothing", "not found"),
        404,
        path=SHOW,
    ),
    Row("Ollama", "no model", {}, error("model"), 400, path=SHOW),
    # Refused.
    Row("Ollama", "a body without a model", {}, error("model is required"), 400),
    Row("Ollama", "no body", b"", error(), 400),
    Row("Ollama", "no JSON", b"{not JSON", error("JSON"), 400),
    Row("Ollama", "a list as the body", b"[]", error(), 400),
    Row("Ollama", "a chat with nobody", chat(model="nothing"), error("'nothing' not found"), 404),
    Row(
        "Ollama",
        "a text of nobody",
        generate(model="nothing"),
        error("'nothing' not found"),
        404,
        path=GENERATE,
    ),
    Row(
        "Ollama",
        "vectors of nobody",
        {"model": "nothing", "input": "a"},
        error("not found"),
        404,
        path=EMBED,
    ),
    Row("Ollama", "messages of another type", chat(messages="Hi"), error("messages"), 400),
    Row("Ollama", "a message of another type", chat(messages=["Hi"]), error("messages[0]"), 400),
    Row(
        "Ollama",
        "an unknown role",
        chat(messages=[{"role": "bot", "content": "a"}]),
        error("role"),
        400,
    ),
    Row("Ollama", "an unknown format", chat(format="yaml"), error("format"), 400),
    Row(
        "Ollama",
        "an option of another type",
        chat(options={"temperature": "hot"}),
        error("temperature"),
        400,
    ),
    Row(
        "Ollama",
        "21 log probabilities",
        chat(logprobs=True, top_logprobs=21),
        error("top_logprobs"),
        400,
    ),
    Row("Ollama", "no duration", chat(keep_alive="soon"), error("keep_alive"), 400),
    Row(
        "Ollama",
        "an image",
        chat(messages=[{"role": "user", "content": "a", "images": ["eA=="]}]),
        error("images"),
        400,
    ),
    Row(
        "Ollama",
        "an image for a text",
        generate(images=["eA=="]),
        error("images"),
        400,
        path=GENERATE,
    ),
    Row(
        "Ollama",
        "thoughts of a model that has none",
        chat(think=True),
        error("does not support thinking"),
        400,
    ),
    Row(
        "Ollama",
        "such thoughts for a text",
        generate(think=True),
        error("does not support thinking"),
        400,
        path=GENERATE,
    ),
    Row("Ollama", "no thoughts of a model that has none", chat(think=False), {ANSWER: some}),
    Row("Ollama", "an unknown effort", chat(think="hardly"), error("think"), 400),
    Row(
        "Ollama",
        "a text to be filled in",
        generate(suffix="end"),
        error("does not support insert"),
        400,
        path=GENERATE,
    ),
)

SCRIPTED = (
    Row(
        "Ollama",
        "a call",
        echoed(call("get_weather", city="Rome"), tools=[WEATHER]),
        {
            "message.tool_calls": count(1),
            "message.tool_calls.0.function.name": "get_weather",
            "message.tool_calls.0.function.arguments": {"city": "Rome"},
            ANSWER: "",
            "done_reason": "stop",
        },
    ),
    Row(
        "Ollama",
        "calls in lines",
        echoed(
            "I look.\n" + "\n".join(call("get_weather", city=city) for city in ("Rome", "Oslo")),
            tools=[WEATHER],
            stream=True,
        ),
        {
            "lines": lambda it: (
                [
                    one["function"]["arguments"]["city"]
                    for line in it
                    for one in line["message"].get("tool_calls") or ()
                ]
                == ["Rome", "Oslo"]
                and joined("content")(it).strip() == "I look."
            )
        },
    ),
    Row(
        "Ollama",
        "a thought",
        echoed(thought("Hm.", "Yes."), think=True),
        {ANSWER: "Yes.", "message.thinking": re.compile("Hm")},
    ),
    Row(
        "Ollama", "how much thought", echoed(thought("Hm.", "Yes."), think="high"), {ANSWER: "Yes."}
    ),
    Row(
        "Ollama",
        "a thought in lines",
        echoed(thought("Hm.", "Yes."), think=True, stream=True),
        {
            "lines": lambda it: (
                joined("thinking")(it).strip() == "Hm." and joined("content")(it) == "Yes."
            )
        },
    ),
    Row(
        "Ollama",
        "no thought",
        echoed("Yes.", think=False),
        {ANSWER: "Yes.", "message.thinking": lambda it: it is NOWHERE or it == ""},
    ),
    Row(
        "Ollama",
        "a thought of a text",
        {"model": FAKE, "prompt": "echo:" + thought("Hm.", "Yes."), "stream": False, "think": True},
        {"response": "Yes.", "thinking": re.compile("Hm")},
        path=GENERATE,
    ),
    Row(
        "Ollama",
        "a stop",
        echoed("one two", options={"stop": ["two"]}),
        {ANSWER: "one ", "done_reason": "stop"},
    ),
    Row(
        "Ollama",
        "a stop that is a text",
        echoed("one two", options={"stop": "two"}),
        {ANSWER: "one "},
    ),
    Row(
        "Ollama",
        "a limit",
        echoed("abcdef", options={"num_predict": 3}),
        {ANSWER: "abc", "done_reason": "length"},
    ),
    Row("Ollama", "no limit", echoed("abcdef", options={"num_predict": -1}), {ANSWER: "abcdef"}),
    Row(
        "Ollama",
        "a call and its result",
        {
            "model": FAKE,
            "stream": False,
            "messages": [
                *SKY,
                {
                    "role": "assistant",
                    "tool_calls": [
                        {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
                    ],
                },
                {"role": "tool", "tool_name": "get_weather", "content": "22"},
                {"role": "user", "content": "echo:Warm."},
            ],
        },
        {ANSWER: "Warm."},
    ),
    Row(
        "Ollama",
        "a result by its older name",
        {
            "model": FAKE,
            "stream": False,
            "messages": [
                *SKY,
                {
                    "role": "assistant",
                    "content": "I look.",
                    "thinking": "Hm.",
                    "tool_calls": [
                        {"id": "a", "function": {"name": "get_weather", "arguments": {}}}
                    ],
                },
                {"role": "tool", "name": "get_weather", "content": "22"},
                {"role": "user", "content": "echo:Warm."},
            ],
        },
        {ANSWER: "Warm."},
    ),
    Row(
        "Ollama",
        "fields nobody knows",
        echoed("Hi", _debug_render_only=None, foo=[1]),
        {ANSWER: "Hi", "@X-Appliance-Warning": re.compile("foo")},
    ),
)


@pytest.mark.parametrize("row", REAL_ROWS, ids=str)
def test_the_real_model(real: httpx.Client, row: Row) -> None:
    row.check(real, CHAT)


@pytest.mark.parametrize("row", SCRIPTED, ids=str)
def test_the_scripted_model(fake: httpx.Client, row: Row) -> None:
    row.check(fake, CHAT)


def test_a_raw_prompt_stands_alone(fake: httpx.Client) -> None:
    """What is continued as it stands has no system prompt."""
    found = fake.post(GENERATE, json={"model": FAKE, "prompt": "echo:a\x03", "raw": True})
    lines = [json.loads(line) for line in found.text.splitlines()]
    assert joined("response", of="")(lines) == "a"
    assert lines[-1]["prompt_eval_count"] == len("echo:a\x03")


def test_models_as_openai_lists_them(real: httpx.Client) -> None:
    """Ollama: the same models by both lists, and one by its name."""
    (known,) = [it for it in real.get("/api/tags").json()["models"] if REAL in it["name"]]
    assert known["details"]["format"] == "gguf"
    assert re.fullmatch("[0-9a-f]{64}", known["digest"])
    listed = real.get("/v1/models").json()
    assert listed["object"] == "list"
    (one,) = [it for it in listed["data"] if it["id"] == REAL]
    assert (one["object"], type(one["created"]), one["owned_by"]) == ("model", int, "appliance")
    assert real.get(f"/v1/models/{REAL}").json() == one
    missing = real.get("/v1/models/no/such")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "model_not_found"
