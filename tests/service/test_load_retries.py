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


def not_there(file: Path) -> None:
    file.unlink(missing_ok=True)


def no_model(file: Path) -> None:
    file.write_bytes(b"no model at all")


def not_for_llama_cpp(file: Path) -> None:
    """Its header is valid, but the worker can't load it."""
    plain = llama(n_layer=1)
    odd = text("tokenizer.ggml.model", "nonsense")
    pairs = tuple(odd if pair.key == odd.key else pair for pair in plain.pairs)
    dataclasses.replace(plain, pairs=pairs).save(file)


@pytest.mark.parametrize("fault", [not_there, no_model, not_for_llama_cpp])
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
