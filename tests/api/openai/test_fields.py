"""Every request field of OpenAI's current API is supported, or refused or reported by name.

The lists come from the signatures of the installed `openai` package: a field it gains must be added
to a table here, and so be considered. `docs/api.md` documents the same fields.
"""

import inspect
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.resources import Completions, Embeddings
from openai.resources.chat import Completions as ChatCompletions
from openai.types.chat import ChatCompletionMessageParam
from openai.types.chat import chat_completion_stream_options_param as stream_params

from appliance.config import paths
from appliance.models.gguf.header import read_header
from tests.running import Running

MODEL = "smollm2-135m-instruct"
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}

# Supported fields; other tests show how.
CHAT_TAKES: dict[str, Any] = {
    "frequency_penalty": 0.5,
    "logit_bias": {"28": -100},
    "logprobs": True,
    "max_completion_tokens": 2,
    "max_tokens": 2,
    "messages": QUESTION,
    "metadata": {"job": "nightly"},
    "model": MODEL,
    "n": 2,
    "parallel_tool_calls": False,
    "presence_penalty": 0.5,
    "prompt_cache_key": "mine",
    "prompt_cache_options": {"mode": "implicit"},
    "reasoning_effort": "none",
    "response_format": {"type": "text"},
    "safety_identifier": "somebody",
    "seed": 1,
    "service_tier": "auto",
    "stop": ["x"],
    "store": False,
    "stream": True,
    "stream_options": {"include_usage": True, "include_obfuscation": False},
    "temperature": 0.5,
    "tool_choice": "none",
    "tools": [TOOL],
    "top_logprobs": 2,
    "top_p": 0.5,
    "user": "somebody",
    "verbosity": "medium",
    "modalities": ["text"],
    "function_call": "auto",
    "functions": [{"name": "look"}],
    "prediction": {"type": "content", "content": "Hi"},
    "prompt_cache_retention": "24h",
}
CHAT_REFUSES: dict[str, Any] = {
    "audio": {"format": "mp3", "voice": "ash"},
    "moderation": {"model": "omni"},
    "web_search_options": {},
    # Fields that are supported for other values.
    "metadata": {"a" * 65: "b"},
    "modalities": ["text", "audio"],
    "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
    "tools": [{"type": "custom", "custom": {"name": "x"}}],
    "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
    "response_format": {"type": "grammar"},
    "max_tokens": 0,
    "guided_regex": "(a+",
    "continue_final_message": True,
    "mirostat": 3,
    "samplers": ["top_k", "colour"],
    "dry_sequence_breakers": [],
}
CHAT_IGNORES: dict[str, Any] = {
    "reasoning_effort": "low",
    "verbosity": "low",
    "service_tier": "priority",
    "store": True,
    "prediction": {"type": "content", "content": "Hi"},
    "prompt_cache_retention": "24h",
    "cache_prompt": False,
    "colour": "red",
    "num_ctx": 4096,
    "id_slot": 1,
    "safe_prompt": True,
}
"""What only tunes, and isn't kept to: a header names it."""
TEXT_TAKES: dict[str, Any] = {
    "best_of": 1,
    "echo": True,
    "frequency_penalty": 0.5,
    "logit_bias": {"28": -100},
    "logprobs": 1,
    "max_tokens": 2,
    "model": MODEL,
    "n": 2,
    "presence_penalty": 0.5,
    "prompt": "Hi",
    "seed": 1,
    "stop": "x",
    "stream": True,
    "stream_options": {"include_usage": True},
    "temperature": 0.5,
    "top_p": 0.5,
    "user": "somebody",
}
TEXT_REFUSES: dict[str, Any] = {"suffix": "bye", "best_of": 3}
VECTOR_TAKES: dict[str, Any] = {
    "dimensions": 3,
    "encoding_format": "base64",
    "input": ["Hi"],
    "model": MODEL,
    "user": "somebody",
}
VECTOR_REFUSES: dict[str, Any] = {"dimensions": 577, "encoding_format": "hex", "input": [""]}

TABLES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "/chat/completions": (ChatCompletions.create, CHAT_TAKES, CHAT_REFUSES),
    "/completions": (Completions.create, TEXT_TAKES, TEXT_REFUSES),
    "/embeddings": (Embeddings.create, VECTOR_TAKES, VECTOR_REFUSES),
}
OF_THE_CLIENT = {"self", "extra_headers", "extra_query", "extra_body", "timeout"}
"""Parameters of the client that are not request fields."""

NEEDS: dict[str, dict[str, Any]] = {
    "stream_options": {"stream": True},
    "top_logprobs": {"logprobs": True},
    "tool_choice": {"tools": [TOOL]},
    "parallel_tool_calls": {"tools": [TOOL]},
}
"""Fields that another field requires."""


@pytest.mark.parametrize("path", TABLES)
def test_the_tables_have_every_field_of_the_official_client(path: str) -> None:
    create, takes, refuses = TABLES[path]
    fields = inspect.signature(create).parameters.keys() - OF_THE_CLIENT
    assert fields <= takes.keys() | refuses.keys()
    assert len(fields) >= 5


def test_the_tables_have_every_option_of_streams() -> None:
    options = typing.get_type_hints(stream_params.ChatCompletionStreamOptionsParam)
    assert options.keys() == CHAT_TAKES["stream_options"].keys()


@pytest.mark.parametrize("path", TABLES)
def test_every_field_is_documented(path: str) -> None:
    text = (Path(__file__).parents[3] / "docs" / "api.md").read_text("utf-8")
    _, _, section = text.partition(f"### `POST /v1{path}`")
    rows = re.findall(r"^\| (`.+?) \|", section.partition("\n#")[0], re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    _, takes, refuses = TABLES[path]
    assert (takes.keys() | refuses.keys()) - documented == set()


BASES: dict[str, dict[str, Any]] = {
    "/chat/completions": {"max_tokens": 2, "messages": QUESTION},
    "/completions": {"max_tokens": 2, "prompt": "Hi"},
    "/embeddings": {"input": "Hi"},
}


def ask(running: Running, path: str, name: str, value: Any) -> httpx.Response:
    base = BASES[path]
    body = {**base, **NEEDS.get(name, {}), name: value}
    return httpx.post(f"{running.url}/v1{path}", json=body, timeout=60)


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [(path, *field) for path, (_, takes, _) in TABLES.items() for field in takes.items()],
)
def test_a_field_that_is_kept_to_is_taken(
    running: Running, path: str, name: str, value: Any
) -> None:
    assert ask(running, path, name, value).status_code == 200


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        *((path, *field) for path, (_, _, refuses) in TABLES.items() for field in refuses.items()),
    ],
)
def test_a_field_that_is_not_is_refused_by_name(
    running: Running, path: str, name: str, value: Any
) -> None:
    response = ask(running, path, name, value)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"].partition(".")[0].partition("[")[0] == name
    assert name in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize("name", CHAT_IGNORES)
def test_a_field_that_is_ignored_is_reported(running: Running, name: str) -> None:
    response = ask(running, "/chat/completions", name, CHAT_IGNORES[name])
    assert response.status_code == 200
    assert name in response.headers["X-Appliance-Warning"]


@pytest.mark.parametrize("name", sorted(CHAT_TAKES.keys() | CHAT_REFUSES.keys() - {"messages"}))
def test_null_asks_for_nothing(running: Running, name: str) -> None:
    if name == "messages":
        assert ask(running, "/chat/completions", name, None).json()["error"]["param"] == name
        return
    body = {"messages": QUESTION, "max_tokens": 1, name: None}
    response = httpx.post(running.url + "/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 200


# -- how some are kept to -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=running.url + "/v1", api_key="none", max_retries=0) as client:
        yield client


def test_the_service_tier_is_reported(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=2, service_tier="auto"
    )
    assert reply.service_tier == "default"


def test_the_end_user_identifier_is_logged(running: Running, client: openai.OpenAI) -> None:
    for end_user in ({"user": "ada-lovelace"}, {"safety_identifier": "grace-hopper"}):
        client.chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=1, extra_body=end_user
        )
    client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=1, metadata={"job": "night shift"}
    )
    client.completions.create(model=MODEL, prompt="Hi", max_tokens=1, user="mary-shelley")
    client.embeddings.create(model=MODEL, input="Hi", user="emmy-noether")
    log = running.log.read_text()
    for identifier in ("ada-lovelace", "grace-hopper", "mary-shelley", "emmy-noether"):
        assert f'"user": "{identifier}"' in log
    assert '"metadata": {"job": "night shift"}' in log


def test_a_reply_can_be_sent_back_as_it_came(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=4)
    assistant_message: Any = reply.choices[0].message.model_dump()
    assert "function_call" in assistant_message
    messages: list[ChatCompletionMessageParam] = [*QUESTION, assistant_message, *QUESTION]
    again = client.chat.completions.create(model=MODEL, messages=messages, max_tokens=4)
    assert again.choices[0].message.role == "assistant"


def test_usage_comes_in_a_stream_when_it_is_asked_for(client: openai.OpenAI) -> None:
    for wanted in (True, False):
        chunks = list(
            client.chat.completions.create(
                model=MODEL,
                messages=QUESTION,
                max_tokens=2,
                stream=True,
                stream_options={"include_usage": wanted},
            )
        )
        assert (chunks[-1].usage is not None) == wanted
        assert all(chunk.usage is None for chunk in chunks[:-1])


@pytest.mark.parametrize("seed", [-2, 2**32 - 1, 2**63 - 1, -(2**63)])
def test_any_whole_number_but_minus_one_is_a_seed(client: openai.OpenAI, seed: int) -> None:
    def generate() -> str:
        reply = client.completions.create(
            model=MODEL, prompt="Once", max_tokens=12, temperature=1.8, seed=seed
        )
        return reply.choices[0].text

    assert generate() == generate()


def test_partially_supported_fields_are_reported(running: Running) -> None:
    def warning(**fields: Any) -> str:
        body = {"messages": QUESTION, "max_tokens": 2, **fields}
        response = httpx.post(running.url + "/v1/chat/completions", json=body, timeout=60)
        assert response.status_code == 200, response.text
        return str(response.headers.get("X-Appliance-Warning", ""))

    tools = [{"type": "function", "function": {"name": "look", "strict": True}}]
    assert "strict" in warning(tools=tools)
    assert "strict" in warning(tools=tools, stream=True)
    assert warning(tools=tools, tool_choice="required") == ""
    assert warning(tools=[TOOL]) == ""
    schema: dict[str, Any] = {"name": "x", "schema": {"type": "boolean"}, "strict": True}
    wanted = {"type": "json_schema", "json_schema": schema}
    assert warning(response_format=wanted) == ""
    schema["description"] = "Whether it is so."
    assert "description" in warning(response_format=wanted)


# -- how much to think ---------------------------------------------------------------------------

EFFORT = "{{ reasoning_effort | d('as it likes') }}"
SWITCH = "{{ 'yes' if enable_thinking | d(true) else 'no' }}"


def thinker(file: Path, thinking: str) -> None:
    """The embedded model with a chat template that puts `thinking` into the system message."""
    content = bytearray(paths.embedded_model().read_bytes())
    old = (read_header(paths.embedded_model()).chat_template or "").encode()
    new = (
        f"<|im_start|>system\nThinks: {thinking}<|im_end|>\n"
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "<|im_start|>assistant{{ '\n' }}"
    ).encode()
    assert content.count(old) == 1
    padding = b"{#" + b"-" * (len(old) - len(new) - 4) + b"#}"
    at = content.index(old)
    content[at : at + len(old)] = padding + new
    file.write_bytes(content)


@pytest.fixture(scope="module")
def thinkers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two models with a reasoning setting: one has levels, the other on and off."""
    folder = tmp_path_factory.mktemp("thinkers")
    (folder / "data" / "models").mkdir(parents=True)
    for name, thinking in (("grades", EFFORT), ("switch", SWITCH)):
        thinker(folder / "data" / "models" / f"{name}.gguf", thinking)
    config = "".join(
        f'[[models.available_models]]\nid = "{name}"\npath = "{name}.gguf"\n'
        for name in ("grades", "switch")
    )
    running = Running(folder, config=config).start()
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("model", "effort", "shown"),
    [
        ("grades", None, "as it likes"),
        ("grades", "low", "low"),
        ("grades", "high", "high"),
        ("switch", None, "yes"),
        ("switch", "none", "no"),
        ("switch", "low", "yes"),
    ],
)
def test_the_template_receives_the_reasoning_effort(
    thinkers: Running, model: str, effort: str | None, shown: str
) -> None:
    common: dict[str, Any] = {"model": model, "max_tokens": 8, "temperature": 0}
    with openai.OpenAI(base_url=thinkers.url + "/v1", api_key="none", max_retries=0) as api:
        asked: Any = {} if effort is None else {"reasoning_effort": effort}
        chat = api.chat.completions.create(messages=QUESTION, **common, **asked)
        text = api.completions.create(
            prompt=f"<|im_start|>system\nThinks: {shown}<|im_end|>\n"
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
            **common,
        )
    assert chat.usage
    assert text.usage
    assert chat.usage.prompt_tokens == text.usage.prompt_tokens
    assert chat.choices[0].message.content == text.choices[0].text


@pytest.mark.parametrize("effort", ["none", "xhigh"])
def test_an_effort_that_a_template_does_not_know_is_ignored(thinkers: Running, effort: str) -> None:
    body = {"model": "grades", "messages": QUESTION, "max_tokens": 1, "reasoning_effort": effort}
    for stream in (False, True):
        response = httpx.post(
            thinkers.url + "/v1/chat/completions", json={**body, "stream": stream}, timeout=60
        )
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("model", "fields", "shown"),
    [
        ("switch", {"enable_thinking": False}, "no"),
        ("switch", {"chat_template_kwargs": {"enable_thinking": False}}, "no"),
        ("switch", {"thinking": {"type": "disabled"}}, "no"),
        ("switch", {"think": True}, "yes"),
        ("grades", {"reasoning": {"effort": "high"}}, "high"),
        ("grades", {"chat_template_kwargs": {"reasoning_effort": "deep"}}, "deep"),
        ("grades", {"chat_template_kwargs": {"messages": [], "tools": 5}}, "as it likes"),
    ],
)
def test_other_names_for_it_reach_the_template(
    thinkers: Running, model: str, fields: dict[str, Any], shown: str
) -> None:
    body = {"model": model, "messages": QUESTION, **fields}
    rendered = httpx.post(thinkers.url + "/apply-template", json=body, timeout=60).json()
    assert f"Thinks: {shown}<|im_end|>" in rendered["prompt"]
