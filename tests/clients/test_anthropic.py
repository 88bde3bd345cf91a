"""Anthropic's own client, with a scripted model for calls and thoughts, and with the real one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from appliance.api.dialects.anthropic.encoder import MessageEncoder
from appliance.api.generation.encoder import ReplyCollector
from appliance.engine.protocol import Accepted, Finished, Timings
from tests.clients.scripted import call, thought
from tests.running import Running

if TYPE_CHECKING:  # imported by the tests: it takes longer than all other modules together
    import anthropic

WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}},
        "required": ["city"],
    },
    "cache_control": {"type": "ephemeral"},
}
COLD = {"temperature": 0.0}
SEARCH: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}


@pytest.fixture(scope="module")
def client(scripted: Running) -> Iterator[anthropic.Anthropic]:
    import anthropic

    with anthropic.Anthropic(base_url=scripted.url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def real(running: Running) -> Iterator[anthropic.Anthropic]:
    import anthropic

    with anthropic.Anthropic(base_url=running.url, auth_token="none", max_retries=0) as client:
        yield client


def ask(client: anthropic.Anthropic, text: str, **fields: Any) -> Any:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    return client.messages.create(**{"model": "fake", "max_tokens": 200, **body, **fields})


def test_text(client: anthropic.Anthropic) -> None:
    found = ask(client, "echo:Hello")
    (block,) = found.content
    assert (block.type, block.text) == ("text", "Hello")
    assert (found.role, found.type, found.model) == ("assistant", "message", "fake")
    assert (found.stop_reason, found.stop_sequence) == ("end_turn", None)
    assert found.usage.output_tokens >= 5
    assert found.usage.input_tokens + found.usage.cache_read_input_tokens > 10
    assert found._request_id.startswith("req_")


def test_a_call_and_its_result(client: anthropic.Anthropic) -> None:
    question = {"role": "user", "content": "echo:" + call("get_weather", city="Paris")}
    first = ask(client, "", messages=[question], tools=[WEATHER, SEARCH])
    assert first.stop_reason == "tool_use"
    (use,) = first.content
    assert (use.type, use.name, use.input) == ("tool_use", "get_weather", {"city": "Paris"})
    result = {
        "role": "user",
        "content": [
            {"type": "text", "text": "echo:It is sunny."},
            {
                "type": "tool_result",
                "tool_use_id": use.id,
                "content": [{"type": "text", "text": "sun"}],
                "is_error": False,
            },
        ],
    }
    turns = [question, {"role": "assistant", "content": first.content}, result]
    second = ask(client, "", messages=turns, tools=[WEATHER])
    assert [block.text for block in second.content] == ["It is sunny."]


def test_a_streamed_thought_text_and_call(client: anthropic.Anthropic) -> None:
    script = "echo:" + thought("Hm.", "Let me look.\n" + call("get_weather", city="Rome"))
    with client.messages.stream(
        model="fake",
        max_tokens=300,
        messages=[{"role": "user", "content": script}],
        tools=[WEATHER],
    ) as stream:
        kinds = [event.type for event in stream]
        found = stream.get_final_message()
    assert kinds[0] == "message_start"
    assert kinds[-1] == "message_stop"
    assert [block.type for block in found.content] == ["thinking", "text", "tool_use"]
    thinking, text, use = found.content
    assert thinking.type == "thinking"
    assert thinking.thinking.strip() == "Hm."
    assert text.type == "text"
    assert text.text.strip() == "Let me look."
    assert use.type == "tool_use"
    assert use.input == {"city": "Rome"}
    assert found.stop_reason == "tool_use"
    assert found.usage.output_tokens > 10


def test_a_thought_goes_back(client: anthropic.Anthropic) -> None:
    first = ask(client, "echo:" + thought("Hm.", "Yes."))
    turns: list[Any] = [
        {"role": "user", "content": "Well?"},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": "echo:And so on."},
    ]
    assert ask(client, "", messages=turns).content[0].text == "And so on."


def test_streamed_events_are_named_as_they_are_typed(scripted: Running) -> None:
    body = {
        "model": "fake",
        "max_tokens": 50,
        "stream": True,
        "messages": [{"role": "user", "content": "echo:Hi"}],
    }
    response = httpx.post(f"{scripted.url}/v1/messages?beta=true", json=body)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", response.text)
    assert events
    assert [name for name, _ in events] == [json.loads(data)["type"] for _, data in events]
    assert "[DONE]" not in response.text


def test_a_stop_sequence_is_named(client: anthropic.Anthropic) -> None:
    found = ask(client, "echo:one two three", stop_sequences=["three", "two"])
    assert found.content[0].text == "one "
    assert (found.stop_reason, found.stop_sequence) == ("stop_sequence", "two")
    with client.messages.stream(
        model="fake",
        max_tokens=50,
        stop_sequences=["two"],
        messages=[{"role": "user", "content": "echo:one two three"}],
    ) as stream:
        last = stream.get_final_message()
    assert (last.stop_reason, last.stop_sequence) == ("stop_sequence", "two")


def test_max_tokens(client: anthropic.Anthropic) -> None:
    assert ask(client, "echo:one two three", max_tokens=3).stop_reason == "max_tokens"
    assert ask(client, "echo:Hi", max_tokens=20_000).stop_reason == "end_turn"


@pytest.mark.parametrize(
    ("n_ctx", "reason"),
    [(100, "model_context_window_exceeded"), (101, "max_tokens"), (None, "max_tokens")],
)
def test_a_reply_that_fills_the_context_says_so(n_ctx: int | None, reason: str) -> None:
    reply = ReplyCollector()
    reply.add(Accepted(1, 40, 0, n_ctx=n_ctx))
    reply.add(
        Finished(
            id=1,
            reason="length",
            prompt_tokens=40,
            cached_tokens=0,
            completion_tokens=60,
            timings=Timings(queued=0, prefill=0, decode=0),
        )
    )
    assert MessageEncoder("m").whole([reply]).stop_reason == reason


def test_a_system_message_may_stand_anywhere(client: anthropic.Anthropic) -> None:
    system = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    turns: list[Any] = [
        {"role": "system", "content": "Be quick."},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "system", "content": "The date has changed."},
        {"role": "user", "content": "echo:Yes"},
    ]
    assert ask(client, "", system=system, messages=turns).content[0].text == "Yes"


def test_claude_codes_changing_line_is_not_read(client: anthropic.Anthropic) -> None:
    """Its first line differs in every request; the rest of the prompt is still cached."""

    def turn(build: str, *more: Any) -> Any:
        head = f"x-anthropic-billing-header: cc_version=2.1.197.{build}; cc_entrypoint=cli;"
        system = [{"type": "text", "text": head}, {"type": "text", "text": "You help. " * 100}]
        first: Any = {"role": "user", "content": "echo:First."}
        return ask(
            client,
            "",
            system=system,
            messages=[first, *more],
            thinking={"type": "adaptive"},
            metadata={"user_id": "{}"},
            extra_body={
                "context_management": {"edits": []},
                "output_config": {"effort": "high"},
            },
        )

    first = turn("1c0")
    read = first.usage.input_tokens + first.usage.cache_read_input_tokens
    response = {"role": "assistant", "content": first.content}
    second = turn("e38", response, {"role": "user", "content": "echo:Second."})
    assert second.content[0].text == "Second."
    assert second.usage.cache_read_input_tokens >= 0.95 * read


def test_fields_that_are_not_known_are_listed(client: anthropic.Anthropic) -> None:
    raw = client.messages.with_raw_response.create(
        model="fake",
        max_tokens=50,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "echo:Hi", "cache_control": {"type": "ephemeral"}}
                ],
            }
        ],
        tools=[WEATHER, SEARCH],
        service_tier="auto",
    )
    warning = raw.headers["X-Appliance-Warning"]
    assert "messages[].content[].cache_control" in warning
    assert "service_tier" in warning
    assert "web_search_20250305" in warning


def test_what_a_prompt_takes(client: anthropic.Anthropic) -> None:
    fields: Any = {"model": "fake", "messages": [{"role": "user", "content": "echo:Hi"}]}
    bare = client.messages.count_tokens(**fields).input_tokens
    found = client.messages.count_tokens(**fields, system="Be brief.", tools=[WEATHER])
    usage = ask(client, "echo:Hi", system="Be brief.", tools=[WEATHER]).usage
    assert bare < found.input_tokens
    assert found.input_tokens == usage.input_tokens + usage.cache_read_input_tokens


def test_models(client: anthropic.Anthropic, scripted: Running) -> None:
    (found,) = client.models.list().data
    assert (found.id, found.type, found.display_name) == ("fake", "model", "Fake")
    assert found.created_at.year > 2000
    assert client.models.retrieve("fake").id == "fake"
    plain = httpx.get(f"{scripted.url}/v1/models").json()
    assert plain["object"] == "list"


def test_errors(client: anthropic.Anthropic, scripted: Running) -> None:
    import anthropic

    with pytest.raises(anthropic.NotFoundError) as missing:
        ask(client, "Hi", model="claude-haiku-4-5")
    body: Any = missing.value.body
    assert body["error"] == {"type": "not_found_error", "message": "model: claude-haiku-4-5"}
    assert body["type"] == "error"
    with pytest.raises(anthropic.BadRequestError, match="max_tokens"):
        ask(client, "Hi", max_tokens=0)
    image: Any = [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        }
    ]
    with pytest.raises(anthropic.BadRequestError, match="cannot see images"):
        ask(client, "", messages=[{"role": "user", "content": image}])
    with pytest.raises(anthropic.BadRequestError, match="tool_choice"):
        ask(client, "Hi", tool_choice={"type": "any"})
    nothing = httpx.get(f"{scripted.url}/v1/nothing", headers={"anthropic-version": "2023-06-01"})
    assert nothing.json()["error"]["type"] == "not_found_error"


def test_what_is_nested_deep_is_no_fault_of_ours(scripted: Running) -> None:
    for depth in (100, 300, 450, 700, 20_000):
        block = '{"type":"tool_result","tool_use_id":"x","content":[' * depth + "]}" * depth
        body = (
            '{"model":"fake","max_tokens":1,"messages":[{"role":"user","content":['
            + block
            + ',{"type":"text","text":"echo:a"}]}]}'
        )
        response = httpx.post(
            f"{scripted.url}/v1/messages",
            content=body,
            headers={"Content-Type": "application/json"},
        )
        assert response.status_code in (200, 400), (depth, response.text)


def test_a_prompt_that_is_too_long(real: anthropic.Anthropic) -> None:
    import anthropic

    long: Any = {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "word " * 30_000}],
    }
    with pytest.raises(
        anthropic.BadRequestError, match=r"prompt is too long: \d+ tokens > \d+ max"
    ):
        real.messages.create(max_tokens=10, **long)
    assert real.messages.count_tokens(**long).input_tokens > 30_000


def test_a_reply_goes_on_from_its_beginning(real: anthropic.Anthropic) -> None:
    turns: Any = [
        {"role": "user", "content": "Count from one to ten, in words."},
        {"role": "assistant", "content": "One, two, three, four,"},
    ]
    found = ask(
        real, "", model="smollm2-135m-instruct", messages=turns, max_tokens=8, extra_body=COLD
    )
    assert "five" in found.content[0].text


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "get_weather"}])
def test_a_forced_call_of_a_real_model(real: anthropic.Anthropic, choice: Any) -> None:
    with real.messages.stream(
        model="smollm2-135m-instruct",
        max_tokens=100,
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[WEATHER],
        tool_choice=choice,
    ) as stream:
        found = stream.get_final_message()
    (use,) = found.content
    assert use.type == "tool_use"
    assert use.name == "get_weather"
    assert isinstance(use.input, dict)
    assert isinstance(use.input["city"], str)


def test_a_schema_is_kept_to(real: anthropic.Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"year": {"type": "integer", "minimum": 1, "maximum": 9999}},
        "required": ["year"],
        "additionalProperties": False,
    }
    found = ask(
        real,
        "When did the war end?",
        model="smollm2-135m-instruct",
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert set(json.loads(found.content[0].text)) == {"year"}


def test_keys_are_asked_for_in_the_same_form(tmp_path_factory: pytest.TempPathFactory) -> None:
    import anthropic

    folder = tmp_path_factory.mktemp("keys")
    locked = Running(
        folder, APPLIANCE_SECURITY_ENABLE_AUTH="true", APPLIANCE_SECURITY_VAULT="file"
    ).start()
    try:
        key = locked.make_key("claude")
        good = anthropic.Anthropic(base_url=locked.url, api_key=key, max_retries=0)
        assert good.models.list().data
        bad = anthropic.Anthropic(base_url=locked.url, api_key="sk-no", max_retries=0)
        with pytest.raises(anthropic.AuthenticationError) as refused:
            bad.messages.create(model="x", max_tokens=1, messages=[])
        body: Any = refused.value.body
        assert body["error"]["type"] == "authentication_error"
        for client in (good, bad):
            client.close()
    finally:
        assert locked.stop() == 0
