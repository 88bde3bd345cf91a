"""Every dialect in front of a model that runs elsewhere: a second appliance, by its OpenAI API."""

import json
import re
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import ollama
import openai
import pytest

from tests.clients.scripted import call, thought
from tests.running import Running

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
}
SCRIPT = "echo:" + thought("Hm.", "Let me look.\n" + call("get_weather", city="Rome"))


@pytest.fixture(scope="module")
def front(scripted: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance without a model of its own."""
    config = f"""
[[models.available_models]]
id = "far"
upstream = "{scripted.url}/v1"
upstream_model = "fake"
"""
    appliance = Running(tmp_path_factory.mktemp("front"), config=config).start()
    yield appliance
    assert appliance.stop() == 0


@pytest.fixture(scope="module")
def claude(front: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=front.url, api_key="none", max_retries=0) as client:
        yield client


def tokens_written(appliance: Running) -> float:
    found = re.search(
        r"^appliance_generated_tokens_total\{.*\} (.*)$",
        httpx.get(f"{appliance.url}/metrics").text,
        re.MULTILINE,
    )
    assert found
    return float(found[1])


def test_anthropic(claude: anthropic.Anthropic, scripted: Running) -> None:
    tool: Any = {"name": "get_weather", "input_schema": SCHEMA}
    asked: Any = {"role": "user", "content": SCRIPT}
    common: dict[str, Any] = {"model": "far", "tools": [tool]}
    with claude.messages.stream(
        **common,
        max_tokens=300,
        messages=[asked],
        thinking={"type": "enabled", "budget_tokens": 1024},
    ) as stream:
        first: Any = stream.get_final_message()
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use"]
    assert first.content[2].input == {"city": "Rome"}
    assert (first.stop_reason, first.usage.output_tokens > 10) == ("tool_use", True)
    result = {"type": "tool_result", "tool_use_id": first.content[2].id, "content": "sun"}
    more: Any = [
        asked,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result, {"type": "text", "text": "echo:Sunny."}]},
    ]
    second: Any = claude.messages.create(**common, max_tokens=300, messages=more)
    assert [block.text for block in second.content] == ["Sunny."]
    usage = second.usage
    written = tokens_written(scripted)
    count = claude.messages.count_tokens(**common, messages=more).input_tokens
    assert count == usage.input_tokens + usage.cache_read_input_tokens > 100
    assert tokens_written(scripted) == written  # counted, and nothing generated


def test_ollama(front: Running) -> None:
    function = {"name": "get_weather", "description": "Weather.", "parameters": SCHEMA}
    tools: Any = [{"type": "function", "function": function}]
    with ollama.Client(host=front.url) as client:
        asked = {"role": "user", "content": SCRIPT}
        parts = list(client.chat("far", messages=[asked], tools=tools, stream=True))
        assert "".join(part.message.thinking or "" for part in parts).strip() == "Hm."
        assert "".join(part.message.content or "" for part in parts).strip() == "Let me look."
        calls = [it for part in parts for it in part.message.tool_calls or ()]
        assert [it.function.arguments for it in calls] == [{"city": "Rome"}]
        assert (parts[-1].done, bool(parts[-1].prompt_eval_count)) == (True, True)
        result = {"role": "tool", "tool_name": "get_weather", "content": "sun"}
        made = {"role": "assistant", "content": "", "tool_calls": calls}
        turns: Any = [asked, made, result, {"role": "user", "content": "echo:Sunny."}]
        assert client.chat("far", messages=turns, tools=tools).message.content == "Sunny."
        assert "tools" in (client.show("far").capabilities or [])
        assert "far:latest" in [model.model for model in client.list().models]


def test_responses(front: Running) -> None:
    tool: Any = {"type": "function", "name": "get_weather", "parameters": SCHEMA}
    fields: dict[str, Any] = {"model": "far", "tools": [tool]}
    with openai.OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0) as client:
        with client.responses.stream(**fields, input=SCRIPT) as stream:
            first: Any = stream.until_done().get_final_response()
        assert [it.type for it in first.output] == ["reasoning", "message", "function_call"]
        use = first.output[2]
        assert json.loads(use.arguments) == {"city": "Rome"}
        turn: Any = [
            {"type": "function_call_output", "call_id": use.call_id, "output": "sun"},
            {"role": "user", "content": "echo:Sunny."},
        ]
        second = client.responses.create(**fields, input=turn, previous_response_id=first.id)
        assert second.output_text == "Sunny."
        assert second.usage
        count = client.responses.input_tokens.count(
            **fields, input=turn, previous_response_id=first.id
        )
        assert count.input_tokens == second.usage.input_tokens > 100
        behind = client.responses.create(
            **fields, input="echo:Later.", background=True, stream=True
        )
        last: Any = list(behind)[-1]
        assert last.response.output_text == "Later."
