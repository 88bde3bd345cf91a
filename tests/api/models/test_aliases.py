"""Names that the configuration gives to models, in every dialect, and the list of models."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.engine.base import ModelSpec
from appliance.engine.serving.model_names import Aliases
from appliance.models.local.abilities import AGENT_TOKENS, why_not_for_agents
from tests.running import Running

ALIASES = """
[models.aliases]
gpt-4o = "embedded"
"claude-*" = "smollm2-135m-instruct"
"claude-opus-*" = "no-such-model"
"""
MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(tmp_path_factory.mktemp("aliases"), config=ALIASES).start()
    yield running
    assert running.stop() == 0


MESSAGES = [{"role": "user", "content": "Hi"}]
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {"messages": MESSAGES, "max_tokens": 1}),
    ("/v1/completions", {"prompt": "Hi", "max_tokens": 1}),
    ("/v1/responses", {"input": "Hi", "max_output_tokens": 1, "store": False}),
    ("/v1/messages", {"messages": MESSAGES, "max_tokens": 1}),
    ("/v1/embeddings", {"input": "Hi"}),
    ("/api/chat", {"messages": MESSAGES, "stream": False, "options": {"num_predict": 1}}),
    ("/tokenize", {"content": "Hi"}),
]


@pytest.mark.parametrize(("path", "body"), ASKED, ids=[path for path, _ in ASKED])
@pytest.mark.parametrize("alias", ["gpt-4o", "GPT-4o:latest", "claude-haiku-4-5"])
def test_an_alias_is_answered_to(
    named: Running, path: str, body: dict[str, Any], alias: str
) -> None:
    response = httpx.post(named.url + path, json={**body, "model": alias}, timeout=60)
    assert response.status_code == 200, response.text
    if path == "/v1/chat/completions":
        assert response.json()["model"] == alias


def test_an_alias_of_nothing_is_reported(named: Running) -> None:
    body = {"messages": MESSAGES, "model": "claude-opus-4"}
    assert httpx.post(f"{named.url}/v1/chat/completions", json=body).status_code == 404
    said = "models.aliases: claude-opus-* stands for no-such-model, which is no model here"
    assert said in named.log.read_text()
    doctor = named.command("doctor").stdout
    assert said in doctor
    assert doctor.count("models.aliases:") == 1
    assert "not for coding agents" in doctor


def test_the_list_has_aliases_context_and_capabilities(named: Running) -> None:
    whole = httpx.get(f"{named.url}/v1/models").json()
    assert "models" not in whole
    (model,) = whole["data"]
    assert model["id"] == MODEL
    assert model["aliases"] == ["gpt-4o", "claude-*"]
    context = model["context_length"]
    names = ("max_model_len", "max_context_length", "context_window")
    assert {model[name] for name in names} == {model["meta"]["n_ctx"]} == {context}
    assert model["capabilities"][0] == "completion"
    assert model["meta"]["n_params"] > 10**8
    assert model["agents"]["fit"] is False
    assert f"{AGENT_TOKENS:,}" in model["agents"]["detail"] or "tools" in model["agents"]["detail"]
    assert httpx.get(f"{named.url}/models").json()["models"] == [model["name"]]
    assert httpx.get(f"{named.url}/v1/models/gpt-4o").json()["id"] == MODEL


def test_the_longest_star_decides_and_models_come_first() -> None:
    aliases = Aliases({"a*": "one", "ab*": "two", "abc": "three"})
    names = ("abc", "abd", "ac", "b", "ABX:latest")
    assert [aliases.target(name) for name in names] == ["three", "two", "one", None, "two"]
    spec = ModelSpec(id="two", name="Two", make=lambda: None)  # type: ignore[arg-type,return-value]
    assert aliases.of(spec) == ("ab*",)


@pytest.mark.parametrize(
    ("context", "tools", "embeds", "fit"),
    [
        (AGENT_TOKENS, True, False, True),
        (AGENT_TOKENS - 1, True, False, False),
        (0, None, False, True),
        (AGENT_TOKENS, False, False, False),
        (AGENT_TOKENS, True, True, False),
    ],
)
def test_what_agents_need(context: int, *, tools: bool | None, embeds: bool, fit: bool) -> None:
    assert (why_not_for_agents(context, tools=tools, embeds=embeds) == "") == fit


@pytest.mark.parametrize("text", ['"" = "x"', 'a = ""', "a = 5"])
def test_a_wrong_alias_is_refused(tmp_path: Path, text: str) -> None:
    running = Running(tmp_path, config=f"[models.aliases]\n{text}\n")
    found = running.command("doctor")
    assert found.returncode != 0
    assert "models.aliases" in found.stderr
