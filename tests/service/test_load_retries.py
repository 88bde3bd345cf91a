"""When the default model can be loaded again, it becomes ready without a request; until then the
status routes give the reason."""

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.config import paths
from tests.models.gguf_writer import llama, text
from tests.running import Running
from tests.waiting import wait_until

CONFIG = '[[models.available_models]]\nid = "mine"\npath = "{file}"\n'


def no_model(file: Path) -> None:
    file.write_bytes(b"no model at all")


def not_for_llama_cpp(file: Path) -> None:
    """Its header is valid, but the worker can't load it."""
    plain = llama(n_layer=1)
    odd = text("tokenizer.ggml.model", "nonsense")
    pairs = tuple(odd if pair.key == odd.key else pair for pair in plain.pairs)
    dataclasses.replace(plain, pairs=pairs).save(file)


def test_the_embedded_model_answers_until_its_file_is_here(tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    service = Running(tmp_path, config=CONFIG.format(file=file)).start()

    def reply(**body: object) -> httpx.Response:
        given = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, **body}
        return httpx.post(service.url + "/v1/chat/completions", json=given)

    assert reply().json()["model"] == "smollm2-135m-instruct"
    # Who asks for another model gets no other, except a client of the original service.
    assert reply(model="mine").status_code == 404
    theirs = {"prompt": "Hi", "model-name": "mine", "max-token": 1, "session-id": "a chat"}
    answered = httpx.post(service.url + "/chat/completions", json=theirs)
    assert answered.status_code == 200
    assert answered.headers["X-Appliance-Warning"] == (
        "mine is not downloaded; SmolLM2-135M-Instruct answers"
    )
    assert "mine: The file of the model mine is not here" in service.command("doctor").stdout
    shutil.copy(paths.embedded_model(), tmp_path / "good.gguf")
    (tmp_path / "good.gguf").replace(file)
    wait_until(lambda: reply().json()["model"] == "mine", "the embedded model answers for good")
    assert httpx.get(service.url + "/readiness").status_code == 200
    assert service.stop() == 0


@pytest.mark.parametrize("fault", [no_model, not_for_llama_cpp])
def test_it_is_ready_once_its_file_is_good(fault: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    fault(file)
    service = Running(tmp_path, config=CONFIG.format(file=file)).start(ready=False)

    def readiness() -> dict[str, Any]:
        response = httpx.get(service.url + "/readiness")
        assert response.status_code == 503
        found: dict[str, Any] = response.json()
        return found

    wait_until(lambda: readiness()["status"] == "failed", "it does not fail")
    model = readiness()["models"][0]
    assert f": failed: {model['detail']}" in service.command("doctor").stdout
    good = tmp_path / "good.gguf"
    shutil.copy(paths.embedded_model(), good)
    good.replace(file)
    service.wait_ready()  # by `/readiness` alone, which loads nothing
    assert service.log.read_text().count("mine cannot be loaded") <= 1
    assert service.stop() == 0
