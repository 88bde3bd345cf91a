"""Weights that change while the model is loaded, and weights that are NaN."""

import os
import shutil
import struct
from pathlib import Path

import httpx
import pytest

from appliance.config.paths import embedded_model
from appliance.models.gguf.header import read_header
from tests.running import Running
from tests.waiting import wait_until


def ask(appliance: Running) -> httpx.Response:
    body = {
        "messages": [{"role": "user", "content": "What is bread?"}],
        "max_tokens": 12,
        "temperature": 0,
    }
    return httpx.post(appliance.url + "/v1/chat/completions", json=body, timeout=180)


def text(appliance: Running) -> str:
    response = ask(appliance)
    assert response.status_code == 200, response.text
    content: str = response.json()["choices"][0]["message"]["content"]
    return content


def overwrite(file: Path, value: float) -> None:
    """Overwrite the model's last norm in place."""
    header = read_header(file)
    tensor = next(tensor for tensor in header.tensors if tensor.name == "output_norm.weight")
    count = tensor.dims[0]
    with file.open("rb+") as stream:
        stream.seek(header.data_offset + tensor.offset)
        stream.write(struct.pack(f"<{count}f", *[value] * count))
    # A file system may have time stamps of some milliseconds' resolution.
    os.utime(file)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copy(embedded_model(), tmp_path_factory.mktemp("models") / "small.gguf"))


def test_weights_that_were_overwritten_are_loaded_again(tmp_path: Path, file: Path) -> None:
    whole = file.read_bytes()
    config = f'[[models.available_models]]\nid = "small"\npath = "{file}"\n'
    appliance = Running(tmp_path, config=config).start()
    right = text(appliance)
    assert text(appliance) == right

    overwrite(file, float("nan"))
    failed: list[httpx.Response] = []

    def is_refused() -> bool:
        failed[:] = [ask(appliance)]
        return failed[0].status_code != 200

    wait_until(is_refused, "no numbers, and no error")
    assert failed[0].status_code == 503
    error = failed[0].json()["error"]
    assert error["code"] == "bad_model_file" and "damaged" in error["message"]

    with file.open("rb+") as stream:
        stream.write(whole)
    os.utime(file)

    def is_loaded_again() -> bool:
        fine = ask(appliance).status_code == 200  # the mapping shows the file's new content at once
        return fine and "was changed, and is loaded again" in appliance.log.read_text()

    wait_until(is_loaded_again, "the good file was not loaded")
    assert text(appliance) == right
    assert appliance.stop() == 0
