"""What another program keeps beside a model holds where a request says nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.api.chat.schemas import TurnIn
from appliance.api.dialects.ollama.options import params_of
from appliance.api.dialects.openai.schemas import ChatCompletionRequest
from appliance.config.schema import Config
from appliance.engine.base import unobserved
from appliance.engine.serving.pool import Pool
from appliance.engine.types import (
    ChatMessage,
    ChatPrompt,
    GenerationRequest,
    SamplingParams,
    with_system,
)
from appliance.models.local.ollama_options import read_options
from appliance.service import model_library, model_specs
from tests.engine.test_waiting_line import Manual
from tests.models.test_index import ollama, shelf_of

OPTIONS = {"temperature": 0.2, "top_k": 7, "stop": ["<end>"], "seed": 5, "num_predict": 9}


def offered(store: Path, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A pool that offers what is in Ollama's store."""
    engines: list[str] = []
    monkeypatch.setattr(model_specs, "_local_engine", lambda *_: Manual("it", engines))
    monkeypatch.setattr(model_specs, "_need", lambda *_: lambda: 0)
    library: Any = type("Library", (), {"index": shelf_of(("ollama", store))})
    config = Config()
    pool = Pool(
        model_specs.specs(config),
        free_memory=lambda: 1,
        keep_alive_seconds=0,
        max_loaded=0,
        observer=unobserved,
    )
    model_library.serve_found_models(library, pool, config)
    return pool


def test_parameters_and_system_prompt_of_ollama_are_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = json.dumps({**OPTIONS, "num_ctx": 2048}).encode()
    ollama(tmp_path, "tuned", "latest", params=params, system=b"Be short.")
    ollama(tmp_path, "odd", "latest", params=b'{"temperature": "hot"}', system=b"Be brave.")
    pool = offered(tmp_path, monkeypatch)
    tuned, odd = pool.find("tuned").spec, pool.find("odd").spec
    assert (odd.sampling, odd.system) == ({}, "Be brave.")
    assert tuned.system == "Be short."
    wanted = SamplingParams(temperature=0.2, top_k=7, stop=("<end>",), seed=5, max_tokens=9)
    for body in (ChatCompletionRequest(messages=[]), TurnIn(content="a")):
        assert body.params(0, tuned.sampling) == wanted
    plain = params_of(read_options(None), 0, tuned.sampling, json_schema=None, logprobs=None)
    assert plain == wanted
    # What a request says holds, and what it does not say stays the model's.
    other = ChatCompletionRequest(messages=[], temperature=1.5, stop=[], max_tokens=3)
    found = other.params(0, tuned.sampling)
    assert (found.temperature, found.stop, found.max_tokens, found.top_k) == (1.5, (), 3, 7)
    pool.close()


def test_a_chat_with_a_system_message_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ollama(tmp_path, "tuned", "latest", system=b"Be short.")
    model = offered(tmp_path, monkeypatch).find("tuned")
    own = ChatMessage("system", "Be long.")
    hello = ChatMessage("user", "Hi")
    for given, shown in (
        ([hello], [ChatMessage("system", "Be short."), hello]),
        ([own, hello], [own, hello]),
    ):
        request = GenerationRequest(prompt=ChatPrompt(given), sampling=SamplingParams())
        prompt = with_system(request, model.spec.system).prompt
        assert isinstance(prompt, ChatPrompt)
        assert prompt.messages == shown
