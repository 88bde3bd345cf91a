"""OpenAI's own client for the Responses API, with a scripted model for calls and thoughts."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pydantic
import pytest

from tests.clients.scripted import call, serving_scripted, thought
from tests.running import Running

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture(scope="module")
def client(scripted: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{scripted.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def real(running: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_text_is_kept_looked_at_and_deleted(client: openai.OpenAI) -> None:
    made = client.responses.create(model="fake", input="echo:Hello", instructions="Be brief.")
    assert made.output_text == "Hello"
    assert (made.status, made.error, made.instructions) == ("completed", None, "Be brief.")
    assert made.usage
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens
    assert client.responses.retrieve(made.id) == made
    (item,) = client.responses.input_items.list(made.id).data
    assert item.type == "message"
    client.responses.delete(made.id)
    for look in (
        client.responses.retrieve,
        client.responses.delete,
        client.responses.input_items.list,
        client.responses.cancel,
    ):
        with pytest.raises(openai.NotFoundError, match="not found"):
            look(made.id)


def test_nothing_is_kept_of_what_is_not_to_be(client: openai.OpenAI) -> None:
    made = client.responses.create(model="fake", input="echo:Hi", store=False)
    assert made.to_dict()["store"] is False
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="fake", input="echo:Hi", previous_response_id=made.id)
    assert refused.value.code == "previous_response_not_found"


def test_a_response_goes_on_from_another(client: openai.OpenAI) -> None:
    first = client.responses.create(model="fake", input="echo:One.", instructions="Count.")
    second = client.responses.create(model="fake", input="echo:Two.", previous_response_id=first.id)
    third = client.responses.create(
        model="fake", input="echo:Three.", previous_response_id=second.id
    )
    assert (second.output_text, third.output_text) == ("Two.", "Three.")
    assert third.previous_response_id == second.id
    assert first.usage
    assert second.usage
    assert third.usage
    assert third.usage.input_tokens > second.usage.input_tokens
    assert third.usage.input_tokens_details.cached_tokens > second.usage.input_tokens * 0.9
    assert [it.id for it in client.responses.input_items.list(third.id)] != []


def test_a_call_and_its_result(client: openai.OpenAI) -> None:
    script = "echo:" + call("get_weather", city="Paris")
    tools: Any = [WEATHER, {"type": "web_search"}, {"type": "image_generation"}]
    raw = client.responses.with_raw_response.create(model="fake", input=script, tools=tools)
    assert raw.headers["X-Appliance-Warning"] == "tools left out: web_search, image_generation"
    first = raw.parse()
    (use,) = first.output
    assert use.type == "function_call"
    assert (use.name, json.loads(use.arguments)) == ("get_weather", {"city": "Paris"})
    assert use.id != use.call_id
    second = client.responses.create(
        model="fake",
        previous_response_id=first.id,
        tools=tools,
        input=[
            {"type": "function_call_output", "call_id": use.call_id, "output": "sun"},
            {"role": "user", "content": "echo:Sunny."},
        ],
    )
    assert second.output_text == "Sunny."
    # And without stored responses, sending all items again, as codex does.
    again: Any = [
        {"type": "message", "role": "developer", "content": "Be brief.", "id": "msg_1"},
        {"role": "user", "content": [{"type": "input_text", "text": script}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "content": None},
        *[item.to_dict() for item in first.output],
        {"type": "function_call_output", "call_id": use.call_id, "output": "sun"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"role": "user", "content": "echo:Sunny."},
    ]
    third = client.responses.create(model="fake", input=again, tools=tools, store=False)
    assert third.output_text == "Sunny."


def test_the_stream_of_a_thought_a_text_and_a_call(client: openai.OpenAI) -> None:
    script = "echo:" + thought("Hm.", "Let me look.\n" + call("get_weather", city="Rome"))
    with client.responses.stream(model="fake", input=script, tools=[WEATHER]) as stream:
        events = list(stream)
        found = stream.get_final_response()
    names = [event.type for event in events]
    assert names[:2] == ["response.created", "response.in_progress"]
    assert names[-1] == "response.completed"
    assert [event.sequence_number for event in events if hasattr(event, "sequence_number")]
    assert [item.type for item in found.output] == ["reasoning", "message", "function_call"]
    reasoning, message, use = found.output
    assert reasoning.type == "reasoning"
    assert reasoning.content
    assert reasoning.content[0].text.strip() == "Hm."
    assert message.type == "message"
    assert found.output_text.strip() == "Let me look."
    assert use.type == "function_call"
    assert json.loads(use.arguments) == {"city": "Rome"}
    kept = client.responses.retrieve(found.id)
    assert [it.to_dict()["id"] for it in kept.output] == [it.to_dict()["id"] for it in found.output]
    assert kept.output_text == found.output_text
    assert found.usage
    assert found.usage.output_tokens_details.reasoning_tokens > 0


def test_events_are_numbered_and_named_as_they_are_typed(scripted: Running) -> None:
    body = {"model": "fake", "input": "echo:Hi", "stream": True, "store": False}
    response = httpx.post(f"{scripted.url}/v1/responses", json=body)
    lines = [block.split("\n") for block in response.text.split("\n\n") if block]
    data = [json.loads(second.removeprefix("data: ")) for _, second in lines]
    assert [first for first, _ in lines] == [f"event: {it['type']}" for it in data]
    assert [it["sequence_number"] for it in data] == list(range(len(data)))


def test_tools_of_a_namespace_and_free_text(client: openai.OpenAI) -> None:
    tools: Any = [
        {"type": "namespace", "name": "agents", "tools": [{**WEATHER, "name": "spawn"}]},
        {"type": "custom", "name": "apply_patch", "description": "Changes files."},
    ]
    script = "echo:" + call("agents__spawn", city="x")
    spawned: Any = client.responses.create(model="fake", input=script, tools=tools).output[0]
    assert (spawned.name, spawned.to_dict()["namespace"]) == ("spawn", "agents")
    script = "echo:" + call("apply_patch", input="*** Begin Patch")
    first = client.responses.create(model="fake", input=script, tools=tools)
    patch = first.output[0]
    assert patch.type == "custom_tool_call"
    assert (patch.name, patch.input) == ("apply_patch", "*** Begin Patch")
    result: Any = [
        {"type": "custom_tool_call_output", "call_id": patch.call_id, "output": "done"},
        {"role": "user", "content": "echo:Good."},
    ]
    last = client.responses.create(
        model="fake", input=result, tools=tools, previous_response_id=first.id
    )
    assert last.output_text == "Good."
    with client.responses.stream(model="fake", input=script, tools=tools) as stream:
        names = [event.type for event in stream]
    assert "response.custom_tool_call_input.done" in names


def test_what_is_cut_is_incomplete(client: openai.OpenAI) -> None:
    made = client.responses.create(model="fake", input="echo:abcdef", max_output_tokens=3)
    assert made.status == "incomplete"
    assert made.incomplete_details
    assert made.incomplete_details.reason == "max_output_tokens"
    assert made.output_text == "abc"
    assert client.responses.create(model="fake", input="", max_output_tokens=1).output


def test_input_tokens(client: openai.OpenAI) -> None:
    made = client.responses.create(model="fake", input="echo:Hi", tools=[WEATHER], store=False)
    count = client.responses.input_tokens.count(model="fake", input="echo:Hi", tools=[WEATHER])
    assert made.usage
    assert count.input_tokens == made.usage.input_tokens


def test_refusals(client: openai.OpenAI) -> None:
    image: Any = [
        {
            "role": "user",
            "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA"}],
        }
    ]
    with pytest.raises(openai.BadRequestError, match="cannot see images"):
        client.responses.create(model="fake", input=image)
    with pytest.raises(openai.BadRequestError, match="background goes with store"):
        client.responses.create(model="fake", input="Hi", background=True, store=False)
    with pytest.raises(openai.BadRequestError, match="tool_choice"):
        client.responses.create(model="fake", input="Hi", tool_choice="required")
    with pytest.raises(openai.NotFoundError, match="nothing"):
        client.responses.create(model="nothing", input="Hi")
    raw = client.responses.with_raw_response.create(
        model="fake",
        input="echo:Hi",
        include=["reasoning.encrypted_content", "file_search_call.results"],
        prompt_cache_key="x",
        extra_body={"client_metadata": {}},
    )
    warning = raw.headers["X-Appliance-Warning"]
    assert "prompt_cache_key, client_metadata" in warning
    assert "not included: file_search_call.results" in warning


def test_a_schema_and_a_forced_call_of_a_real_model(real: openai.OpenAI) -> None:
    class Year(pydantic.BaseModel):
        year: int = pydantic.Field(ge=1, le=9999)

    found = real.responses.parse(
        model="smollm2-135m-instruct", input="When did the war end?", text_format=Year, store=False
    )
    assert isinstance(found.output_parsed, Year)
    forced = real.responses.create(
        model="smollm2-135m-instruct",
        input="What is the weather in Paris?",
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "get_weather"},
        store=False,
    )
    (use,) = forced.output
    assert use.type == "function_call"
    assert set(json.loads(use.arguments)) == {"city"}


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance with keys and a slow model."""
    yield from serving_scripted(
        tmp_path_factory.mktemp("slow"),
        APPLIANCE_SECURITY_ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
        FAKE_STEP_SECONDS="0.02",
    )


def test_responses_are_their_owners_alone_and_can_be_cancelled(slow: Running) -> None:
    ours, others = (
        openai.OpenAI(base_url=f"{slow.url}/v1", api_key=slow.make_key(name), max_retries=0)
        for name in ("ours", "others")
    )
    with ours, others:
        made = ours.responses.create(model="fake", input="echo:Mine")
        with pytest.raises(openai.NotFoundError):
            others.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            others.responses.delete(made.id)
        with pytest.raises(openai.BadRequestError) as refused:
            others.responses.create(model="fake", input="Hi", previous_response_id=made.id)
        assert refused.value.code == "previous_response_not_found"
        assert ours.responses.retrieve(made.id).output_text == "Mine"

        stream = ours.responses.create(model="fake", input="echo:" + "x" * 2000, stream=True)
        id = ""
        last: Any = None
        for event in stream:
            last = event
            if event.type == "response.created":
                id = event.response.id
            elif event.type == "response.output_text.delta" and id:
                assert ours.responses.retrieve(id).status == "in_progress"
                with pytest.raises(openai.NotFoundError):
                    others.responses.cancel(id)
                assert ours.responses.cancel(id).status == "cancelled"
                id = ""
        assert last.response.status == "cancelled"
        assert ours.responses.retrieve(last.response.id).status == "cancelled"


def test_a_response_in_the_background(slow: Running) -> None:
    key = slow.make_key("behind")
    with openai.OpenAI(base_url=f"{slow.url}/v1", api_key=key, max_retries=0) as client:
        made = client.responses.create(model="fake", input="echo:Later.", background=True)
        assert (made.status, made.output) == ("in_progress", [])
        with pytest.raises(openai.BadRequestError, match="still in progress"):
            client.responses.create(model="fake", input="Hi", previous_response_id=made.id)
        deadline = time.monotonic() + 60
        while (found := client.responses.retrieve(made.id)).status == "in_progress":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert (found.status, found.output_text) == ("completed", "Later.")
        long = client.responses.create(model="fake", input="echo:" + "x" * 5000, background=True)
        assert client.responses.cancel(long.id).status == "cancelled"
        while (ended := client.responses.retrieve(long.id)).status == "in_progress":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert ended.status == "cancelled"
        gone = client.responses.create(model="fake", input="echo:" + "y" * 5000, background=True)
        client.responses.delete(gone.id)
        last = client.responses.create(model="fake", input="echo:Last.")  # stored after it
        assert last.output_text == "Last."
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(gone.id)
