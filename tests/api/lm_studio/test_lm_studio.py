"""LM Studio's REST API, as its documentation and the parsers of its clients have it."""

from typing import Any

import httpx
import openai
import pytest

from tests.running import Running

MODEL = "smollm2-135m-instruct"
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0}


def test_models_have_what_strict_clients_need(running: Running) -> None:
    listed = httpx.get(f"{running.url}/api/v0/models").json()
    assert listed["object"] == "list"
    entry = next(model for model in listed["data"] if model["id"] == MODEL)
    assert entry == httpx.get(f"{running.url}/api/v0/models/{MODEL}").json()
    texts = ("id", "object", "type", "publisher", "arch", "compatibility_type", "quantization")
    assert all(isinstance(entry[name], str) and entry[name] for name in texts)
    assert (entry["state"], entry["type"]) == ("loaded", "llm")
    assert 0 < entry["loaded_context_length"] <= entry["max_context_length"]
    assert isinstance(entry["capabilities"], list)
    assert httpx.get(f"{running.url}/api/v0/models/nobody").status_code == 404


def test_a_chat_has_figures(running: Running) -> None:
    body = {**CHAT, "max_tokens": 5, "model": MODEL}
    whole = httpx.post(f"{running.url}/api/v0/chat/completions", json=body, timeout=60).json()
    assert whole["stats"]["stop_reason"] == "maxPredictedTokensReached"
    figures = ("tokens_per_second", "time_to_first_token", "generation_time")
    assert all(whole["stats"][name] > 0 for name in figures)
    assert whole["model_info"].keys() == {"arch", "quant", "format", "context_length"}
    assert whole["runtime"]["supported_formats"] == ["gguf"]
    plain = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=60).json()
    assert whole["choices"] == plain["choices"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"max_tokens": -1, "stop": ["e"]}, "stopStringFound"),
        ({"max_tokens": 1}, "maxPredictedTokensReached"),
    ],
)
def test_a_text_says_why_it_ended(running: Running, fields: dict[str, Any], reason: str) -> None:
    body = {"prompt": "Once upon a time", "temperature": 0, **fields}
    whole = httpx.post(f"{running.url}/api/v0/completions", json=body, timeout=60).json()
    assert whole["stats"]["stop_reason"] == reason


def test_openai_s_client_streams_and_embeds(running: Running) -> None:
    with openai.OpenAI(base_url=f"{running.url}/api/v0", api_key="none", max_retries=0) as client:
        chunks = list(
            client.chat.completions.create(model=MODEL, stream=True, max_tokens=3, **CHAT)
        )
        assert chunks[-1].choices[0].finish_reason == "length"
        stats: Any = [chunk.model_dump().get("stats") for chunk in chunks]
        assert stats[-1]["stop_reason"] == "maxPredictedTokensReached"
        assert stats[:-1] == [None] * (len(chunks) - 1)
        texts = list(
            client.completions.create(model=MODEL, prompt="One", stream=True, max_tokens=2)
        )
        assert texts[-1].model_dump()["stats"]["tokens_per_second"] > 0
        assert "stats" not in texts[0].model_dump()
        vector = client.embeddings.create(model=MODEL, input="Hi", dimensions=8).data[0].embedding
        assert sum(number * number for number in vector) == pytest.approx(1)
        assert len(vector) == 8
