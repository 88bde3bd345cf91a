"""What is otherwise here than other servers' tests want it; docs/clients.md has the reasons."""

import gzip
import json
import re
from typing import Any

import httpx
import pytest

from tests.clients.peers.rows import FAKE, REAL, Row, absent, count, refused
from tests.clients.scripted import call

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
GENERATE = "/api/generate"
HELLO: Any = [{"role": "user", "content": "echo:Hello"}]


def chat(**fields: Any) -> Any:
    return {"model": FAKE, "messages": HELLO, **fields}


def text(**fields: Any) -> Any:
    return {"model": FAKE, "prompt": "echo:abc\x03", **fields}


def error(*words: str) -> Any:
    """A text in Ollama's form."""
    return {"error": lambda it: isinstance(it, str) and all(word in it for word in words)}


ROWS = (
    # Ranges are OpenAI's.
    Row(
        "vLLM",
        "a role of its own",
        chat(messages=[{"role": "my-role", "content": "a"}]),
        refused("role"),
        400,
        CHAT,
    ),
    Row("Ollama", "a temperature of 3", chat(temperature=3.0), refused("temperature"), 400, CHAT),
    Row(
        "Ollama",
        "a penalty of 4",
        chat(frequency_penalty=4.0),
        refused("frequency_penalty"),
        400,
        CHAT,
    ),
    Row("Ollama", "a top_p of 6", chat(top_p=6.0), refused("top_p"), 400, CHAT),
    Row("vLLM", "17 choices", chat(n=17), refused("n"), 400, CHAT),
    Row(
        "vLLM",
        "20 log probabilities of a text",
        text(logprobs=20),
        refused("logprobs"),
        400,
        COMPLETIONS,
    ),
    Row(
        "vLLM",
        "the best of more than n",
        text(best_of=3, n=1),
        refused("best_of"),
        400,
        COMPLETIONS,
    ),
    Row(
        "vLLM",
        "log probabilities of the prompt",
        text(echo=True, logprobs=1),
        refused("echo"),
        400,
        COMPLETIONS,
    ),
    # As much as there is, and a warning about the rest.
    Row(
        "SGLang",
        "more tokens than there is room for",
        chat(max_tokens=1_000_000),
        {"choices.0.message.content": "Hello", "@X-Appliance-Warning": re.compile("1000000")},
        path=CHAT,
    ),
    Row(
        "SGLang",
        "a stop is not named",
        chat(stop="l"),
        {"choices.0.finish_reason": "stop", "choices.0.matched_stop": absent},
        path=CHAT,
    ),
    Row(
        "SGLang",
        "a call is the only one if it is forced",
        {
            "model": REAL,
            "messages": HELLO,
            "max_tokens": 60,
            "tool_choice": "required",
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "now", "parameters": {"type": "object", "properties": {}}},
                }
            ],
        },
        {"choices.0.message.tool_calls": count(1)},
        path=CHAT,
    ),
    # Vectors.
    Row(
        "vLLM",
        "a chat as the input",
        {"model": FAKE, "messages": HELLO},
        refused(),
        400,
        EMBEDDINGS,
    ),
    Row(
        "vLLM",
        "vectors have no completion",
        {"model": FAKE, "input": "a"},
        {"usage.completion_tokens": absent, "usage.prompt_tokens": int},
        path=EMBEDDINGS,
    ),
    # Responses.
    Row(
        "SGLang",
        "tools of an unknown type",
        {"model": FAKE, "input": HELLO, "store": False, "tools": [{"type": "some_tool"}]},
        {"status": "completed", "@X-Appliance-Warning": re.compile("some_tool")},
        path=RESPONSES,
    ),
    Row(
        "SGLang",
        "figures by their older names",
        {"model": FAKE, "input": HELLO, "store": False},
        {"usage.input_tokens": int, "usage.prompt_tokens": absent},
        path=RESPONSES,
    ),
    Row(
        "vLLM",
        "a token list of the messages",
        {"model": FAKE, "input": HELLO, "store": False, "enable_response_messages": True},
        {"input_messages": absent, "@X-Appliance-Warning": re.compile("enable_response_messages")},
        path=RESPONSES,
    ),
    # Messages.
    Row(
        "vLLM",
        "more tokens than there is room for, too",
        {"model": FAKE, "messages": HELLO, "max_tokens": 1_000_000},
        {"content.0.text": "Hello", "@X-Appliance-Warning": re.compile("1000000")},
        path=MESSAGES,
    ),
    Row(
        "SGLang",
        "a thought has no budget",
        {
            "model": FAKE,
            "messages": HELLO,
            "max_tokens": 50,
            "thinking": {"type": "enabled", "budget_tokens": 100_000},
        },
        {"content.0.text": "Hello"},
        path=MESSAGES,
    ),
    # Ollama.
    Row("Ollama", "no model at all", {}, error("model is required"), 400, GENERATE),
    Row(
        "Ollama",
        "a template of the request's",
        {"model": FAKE, "prompt": "a", "template": "{{ .Prompt }}"},
        error("template"),
        400,
        GENERATE,
    ),
    Row(
        "Ollama",
        "the context of another server's text",
        {"model": FAKE, "prompt": "a", "context": [1, 2]},
        error("context"),
        400,
        GENERATE,
    ),
    Row(
        "Ollama",
        "a model's license and adapters",
        {"model": REAL},
        {"projector_info": absent},
        path="/api/show",
    ),
)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_it_differs(fake: httpx.Client, real: httpx.Client, row: Row) -> None:
    row.check(real if row.send.get("model") == REAL else fake)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/version"),
        ("GET", "/load"),
        ("GET", "/ping"),
        ("POST", "/invocations"),
        ("POST", "/pooling"),
        ("POST", "/score"),
        ("POST", "/generate"),
        ("POST", "/flush_cache"),
        ("GET", "/get_model_info"),
        ("GET", "/server_info"),
        ("POST", "/v1/audio/transcriptions"),
        ("POST", "/v1/images/generations"),
    ],
)
def test_routes_that_are_others_own(real: httpx.Client, method: str, path: str) -> None:
    """Of vLLM, SGLang and Ollama: none of the APIs that are offered here has them."""
    response = real.request(method, path)
    assert response.status_code == 404
    assert response.json()["error"]


def test_what_has_ended_stays_as_it_is(fake: httpx.Client) -> None:
    """vLLM: cancelling it is an error; here it returns as it ended."""
    body = {"model": FAKE, "input": HELLO}
    made = fake.post(RESPONSES, json=body).json()
    cancelled = fake.post(f"{RESPONSES}/{made['id']}/cancel")
    assert cancelled.status_code == 200
    assert cancelled.json()["status"] == "completed"


@pytest.mark.parametrize(
    "fields",
    [
        {"files": {"a.gguf": "sha256:0"}},
        {"adapters": {"a.gguf": "sha256:0"}},
        {"quantize": "q4_K_M"},
        {"template": "{{ .Prompt }}"},
        {"modelfile": "FROM a"},
    ],
)
def test_model_files_are_used_as_they_are(real: httpx.Client, fields: dict[str, Any]) -> None:
    """Of Ollama: other weights, and another template."""
    response = real.post("/api/create", json={"model": "a", "from": REAL, **fields})
    assert response.status_code == 400
    assert response.json()["error"].startswith(next(iter(fields)))
    assert real.post("/api/push", json={"model": REAL}).status_code == 400


def test_bodies_come_as_they_are(fake: httpx.Client) -> None:
    """Ollama: it unpacks bodies; here they are refused, as no client here needs it."""
    body = gzip.compress(json.dumps(chat()).encode())
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    response = fake.post(CHAT, content=body, headers=headers)
    assert response.status_code in (400, 415)
    assert response.json()["error"]["message"]


def test_what_is_streamed_once_is_counted_once(fake: httpx.Client) -> None:
    """vLLM: `continuous_usage_stats`; here the last chunk alone has figures."""
    calls = chat(messages=[{"role": "user", "content": "echo:" + call("a", b=1)}])
    options = {"include_usage": True}
    found = fake.post(CHAT, json={**calls, "stream": True, "stream_options": options}).text
    assert found.count('"total_tokens"') == 1
