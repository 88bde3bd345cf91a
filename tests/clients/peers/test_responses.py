"""The Responses API, as vLLM's and SGLang's tests and Ollama's ask for it."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.clients.peers.rows import ADD, FAKE, REAL, Row, absent, count, refused, schema, some
from tests.clients.scripted import call, thought
from tests.running import Running

PATH = "/v1/responses"
TOOL: Any = {"type": "function", **ADD["function"]}
TEXT = "output.0.content.0.text"


def short(**fields: Any) -> Any:
    """A short request to the real model, of which nothing is kept."""
    body = {"model": REAL, "input": "What is 1+1?", "temperature": 0, "max_output_tokens": 6}
    return {**body, "store": False, **fields}


def echoed(text: str, *before: Any, **fields: Any) -> Any:
    """A request that the scripted model answers with a text."""
    items = [*before, {"role": "user", "content": f"echo:{text}"}]
    return {"model": FAKE, "input": items, "store": False, **fields}


def message(text: str, role: str = "user", **fields: Any) -> Any:
    kind = "output_text" if role == "assistant" else "input_text"
    content = [{"type": kind, "text": text}]
    return {"type": "message", "role": role, "content": content, **fields}


REAL_ROWS = (
    Row(
        "SGLang",
        "the fields of a response",
        short(),
        {
            "id": re.compile("^resp_"),
            "object": "response",
            "created_at": some,
            "model": REAL,
            "output": count(1),
            "output.0.type": "message",
            "output.0.role": "assistant",
            TEXT: some,
            "output.0.content.0.type": "output_text",
            "error": absent,
            "status": "incomplete",
            "incomplete_details.reason": "max_output_tokens",
            "usage.output_tokens": 6,
            "usage.input_tokens": some,
            "usage": lambda it: it["total_tokens"] == it["input_tokens"] + it["output_tokens"],
            "usage.output_tokens_details.reasoning_tokens": 0,
            "text.format.type": "text",
        },
    ),
    Row(
        "vLLM",
        "instructions",
        short(instructions="You help.", user="me", metadata={"a": "b"}),
        {"instructions": "You help.", "metadata": {"a": "b"}, TEXT: some},
    ),
    Row(
        "SGLang",
        "all that has a default",
        short(
            top_p=1.0,
            parallel_tool_calls=True,
            tool_choice="auto",
            truncation="disabled",
            background=False,
            tools=[],
        ),
        {TEXT: some},
    ),
    Row(
        "vLLM",
        "sampling of its own",
        short(temperature=0.7, top_p=0.9, top_k=40, seed=42),
        {TEXT: some},
    ),
    Row("vLLM", "no effort", short(reasoning={"effort": "none"}), {TEXT: some}),
    Row("vLLM", "content in parts", short(input=[message("Hi.")]), {TEXT: some}),
    Row(
        "vLLM",
        "several turns with ids",
        short(
            input=[
                message("Be brief."),
                message("Yes.", "assistant", id="msg_1", status="completed"),
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [],
                    "status": "completed",
                    "encrypted_content": None,
                },
                message("Well?"),
            ]
        ),
        {TEXT: some},
    ),
    Row(
        "vLLM",
        "several turns without",
        short(
            input=[
                message("Be brief."),
                message("Yes.", "assistant"),
                {"type": "reasoning", "summary": []},
                message("Well?"),
            ]
        ),
        {TEXT: some},
    ),
    Row(
        "vLLM",
        "a schema",
        short(
            max_output_tokens=60,
            text={
                "format": {"type": "json_schema", "name": "a", "schema": schema(a={"enum": [1, 2]})}
            },
        ),
        {
            TEXT: re.compile(r'^\{ ?"a": ?[12]\}$'),
            "status": "completed",
            "text.format.type": "json_schema",
        },
    ),
    Row(
        "vLLM",
        "an object",
        short(text={"format": {"type": "json_object"}}),
        {TEXT: re.compile(r"^\{")},
    ),
    Row(
        "SGLang",
        "a call",
        short(tools=[TOOL], tool_choice="required", max_output_tokens=60),
        {
            "output": count(1),
            "output.0.type": "function_call",
            "output.0.name": "add",
            "output.0.call_id": some,
            "output.0.arguments": re.compile("a.*b"),
            "output.0.status": "completed",
            "status": "completed",
        },
    ),
    Row(
        "vLLM",
        "a call by name",
        short(tools=[TOOL], max_output_tokens=60, tool_choice={"type": "function", "name": "add"}),
        {"output.0.name": "add"},
    ),
    Row(
        "vLLM",
        "a stream of a schema",
        short(
            stream=True,
            max_output_tokens=60,
            text={
                "format": {"type": "json_schema", "name": "a", "schema": schema(a={"enum": [1, 2]})}
            },
        ),
        {
            "events": lambda it: re.fullmatch(
                r'\{ ?"a": ?[12]\}',
                "".join(one["delta"] for one in it if one["type"] == "response.output_text.delta"),
            )
        },
    ),
    # Refused.
    Row(
        "SGLang",
        "no such response before",
        short(previous_response_id="bad"),
        {"error.message": str, "error.type": str, "error.code": "previous_response_not_found"},
        400,
    ),
    Row("vLLM", "a number as input", short(input=1), refused("input"), 400),
    Row("vLLM", "in the background, not kept", short(background=True), refused("background"), 400),
    Row(
        "vLLM",
        "an unknown format",
        short(text={"format": {"type": "yaml"}}),
        refused("format"),
        400,
    ),
    Row("vLLM", "a call without tools", short(tool_choice="required"), refused("tool_choice"), 400),
    Row(
        "vLLM",
        "an image",
        short(
            input=[
                {
                    "role": "user",
                    "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA"}],
                }
            ]
        ),
        refused("images"),
        400,
    ),
    Row("vLLM", "colder than cold", short(temperature=-1), refused("temperature"), 400),
    Row("Ollama", "no JSON", b"{", refused("JSON"), 400),
    Row("vLLM", "a list as the body", b"[]", refused(), 400),
    Row(
        "SGLang",
        "a model that isn't here",
        short(model="nothing"),
        {"error.code": "model_not_found"},
        404,
    ),
)

SCRIPTED = (
    Row(
        "SGLang",
        "a text",
        echoed("Paris"),
        {TEXT: "Paris", "status": "completed", "incomplete_details": absent},
    ),
    Row(
        "vLLM",
        "reasoning before a text",
        echoed(thought("Hm.", "Yes.")),
        {
            "output": lambda it: [one["type"] for one in it] == ["reasoning", "message"],
            "output.1.content.0.text": "Yes.",
            "usage.output_tokens_details.reasoning_tokens": some,
        },
    ),
    Row(
        "vLLM",
        "reasoning that comes back",
        echoed(
            "Yes.",
            message("Hello."),
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "A greeting."}],
            },
        ),
        {"output": lambda it: it[-1]["content"][0]["text"] == "Yes."},
    ),
    Row(
        "SGLang",
        "a call, and text before",
        echoed("I add.\n" + call("add", a=1, b=2), tools=[TOOL]),
        {"output": lambda it: [one["type"] for one in it] == ["message", "function_call"]},
    ),
    Row(
        "SGLang",
        "two calls",
        echoed(call("add", a=1, b=2) + "\n" + call("add", a=3, b=4), tools=[TOOL]),
        {"output": lambda it: len({one["call_id"] for one in it}) == 2},
    ),
    Row(
        "SGLang",
        "one call at a time",
        echoed(
            call("add", a=1, b=2) + "\n" + call("add", a=3, b=4),
            tools=[TOOL],
            parallel_tool_calls=False,
        ),
        {"output": count(1)},
    ),
    Row(
        "vLLM",
        "a result",
        echoed(
            "Three.",
            message("Add."),
            {
                "type": "function_call",
                "call_id": "c",
                "name": "add",
                "arguments": '{"a": 1, "b": 2}',
            },
            {"type": "function_call_output", "call_id": "c", "output": "3"},
        ),
        {TEXT: "Three."},
    ),
    Row(
        "vLLM",
        "two results of two calls",
        echoed(
            "Done.",
            message("Add."),
            {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}"},
            {"type": "function_call", "call_id": "d", "name": "add", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "d", "output": "7"},
            {"type": "function_call_output", "call_id": "c", "output": "3"},
        ),
        {TEXT: "Done."},
    ),
)


@pytest.mark.parametrize("row", REAL_ROWS, ids=str)
def test_the_real_model(real: httpx.Client, row: Row) -> None:
    row.check(real, PATH)


@pytest.mark.parametrize("row", SCRIPTED, ids=str)
def test_the_scripted_model(fake: httpx.Client, row: Row) -> None:
    row.check(fake, PATH)


@pytest.fixture(scope="module")
def scripts(scripted: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{scripted.url}/v1", api_key="none", max_retries=0) as client:
        yield client


CLOSED_BY = {
    "response.created": "response.completed",
    "response.output_item.added": "response.output_item.done",
    "response.content_part.added": "response.content_part.done",
    "response.output_text.delta": "response.output_text.done",
    "response.reasoning_part.added": "response.reasoning_part.done",
    "response.reasoning_text.delta": "response.reasoning_text.done",
    "response.function_call_arguments.delta": "response.function_call_arguments.done",
}


def test_what_opens_closes_in_turn(scripts: openai.OpenAI) -> None:
    """vLLM: events nest, and each part's end follows its beginning."""
    script = thought("Hm.", "I add.\n" + call("add", a=1, b=2))
    events: Any = scripts.responses.create(**echoed(script, tools=[TOOL], stream=True))
    open_ones: list[str] = []
    seen = set()
    last: Any = None
    for event in events:
        last = event
        kind = event.type
        if kind in CLOSED_BY.values():
            assert CLOSED_BY[open_ones.pop()] == kind
        elif kind in CLOSED_BY and not (kind.endswith(".delta") and open_ones[-1] == kind):
            open_ones.append(kind)
            seen.add(kind)
    assert open_ones == []
    assert seen >= set(CLOSED_BY) - {"response.reasoning_part.added"}
    assert last.type == "response.completed"
    text = "".join(
        part.text for it in last.response.output if it.type == "message" for part in it.content
    )
    assert text == last.response.output_text


def test_the_pieces_are_the_whole(scripts: openai.OpenAI) -> None:
    """vLLM: what was streamed is what the last event has."""
    events = list(scripts.responses.create(**echoed("One ♥ two 🐱.", stream=True)))
    pieces = "".join(it.delta for it in events if it.type == "response.output_text.delta")
    assert events[-1].response.output_text == pieces == "One ♥ two 🐱."


def test_two_go_on_from_the_same(scripts: openai.OpenAI) -> None:
    """vLLM: neither of two that go on from one response knows of the other."""
    first = scripts.responses.create(model=FAKE, input="echo:John", instructions="Mind names.")
    found = [
        scripts.responses.create(model=FAKE, input="echo:Mark", previous_response_id=first.id)
        for _ in range(2)
    ]
    assert [it.output_text for it in found] == ["Mark", "Mark"]
    assert found[0].usage
    assert found[1].usage
    assert found[0].usage.input_tokens == found[1].usage.input_tokens


def test_what_is_kept(scripts: openai.OpenAI) -> None:
    """vLLM: responses are kept, unless they are not to be."""
    kept = scripts.responses.create(model=FAKE, input="echo:Hello")
    assert scripts.responses.retrieve(kept.id).status == "completed"
    gone = scripts.responses.create(model=FAKE, input="echo:Hello", store=False)
    with pytest.raises(openai.NotFoundError, match="not found"):
        scripts.responses.retrieve(gone.id)
