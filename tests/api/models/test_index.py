"""`/api/models`: every model file is listed while it exists, and can be used."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.config import paths
from tests.models.gguf_writer import Gguf, llama, text
from tests.running import Running, serving
from tests.waiting import wait_until

EMBEDDED = "smollm2-135m-instruct"
FIELDS = {
    *("id", "name", "path", "owner", "repo", "architecture", "quantization", "licence", "size"),
    *("context_length", "memory", "memory_bytes"),
    *("fits", "parameters", "embeds", "tools", "thinks", "downloaded", "default", "status"),
    *("progress", "detail", "n_ctx", "device", "warning", "aliases", "not_for_agents"),
}


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With the embedded model alone, which is how tests leave it."""
    yield from serving(tmp_path_factory.mktemp("appliance"))


def models(appliance: Running) -> dict[str, dict[str, Any]]:
    response = httpx.get(appliance.url + "/api/models", timeout=30)
    assert response.status_code == 200, response.text
    return {model["id"]: model for model in response.json()["models"]}


def wait_for(appliance: Running, id: str, status: str) -> dict[str, Any]:
    while (found := models(appliance)[id])["status"] == "loading":
        pass
    assert found["status"] == status, found
    return found


def test_the_embedded_model_is_described_completely(appliance: Running) -> None:
    (model,) = models(appliance).values()
    assert set(model) == FIELDS
    assert (model["id"], model["owner"], model["status"]) == (EMBEDDED, "bundled", "ready")
    assert (model["architecture"], model["quantization"]) == ("llama", "Q4_1")
    assert (model["context_length"], model["n_ctx"]) == (8192, 8192)
    assert model["size"] == paths.embedded_model().stat().st_size < model["memory_bytes"]
    assert model["fits"] == "fits"
    assert model["default"] and model["downloaded"]


def test_a_file_put_into_the_folder_is_on_offer_and_gone_when_it_is_taken_away(
    appliance: Running,
) -> None:
    file = appliance.data / "models" / "mine.gguf"
    shutil.copy(paths.embedded_model(), file)
    # No listing is needed in between: a request for it is enough.
    body = {"model": "mine", "prompt": "One, two,", "max_tokens": 4}
    response = httpx.post(appliance.url + "/v1/completions", json=body, timeout=120)
    assert response.status_code == 200, response.text
    assert response.json()["model"] == "mine"
    mine = models(appliance)["mine"]
    assert (mine["owner"], mine["status"], mine["path"]) == ("appliance", "ready", str(file))
    assert "mine" in [m["id"] for m in httpx.get(appliance.url + "/v1/models").json()["data"]]

    assert httpx.delete(appliance.url + "/api/models/mine").status_code == 204
    assert not file.exists()
    assert set(models(appliance)) == {EMBEDDED}
    response = httpx.post(appliance.url + "/v1/completions", json=body, timeout=120)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


def test_models_are_loaded_and_unloaded(appliance: Running) -> None:
    for verb, status in (("unload", "unloaded"), ("load", "ready")):
        response = httpx.post(f"{appliance.url}/api/models/{EMBEDDED}/{verb}", timeout=60)
        assert response.status_code == 202
        assert response.json()["id"] == EMBEDDED
        wait_for(appliance, EMBEDDED, status)
    response = httpx.post(appliance.url + "/api/models/nobody/load")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "model_not_found")


OWNERS = {
    "huggingface": "hf/hub/models--a--b/snapshots/0/hugging.gguf",
    "lmstudio": ".lmstudio/models/a/b/studio.gguf",
    "ollama": f".ollama/models/blobs/sha256-{'a' * 64}",
    "llama.cpp": "llama/llama.gguf",
}
"""Where each program has its file, in the home folder."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of somebody who has all of these programs."""
    home = tmp_path_factory.mktemp("home")
    for place in OWNERS.values():
        (home / place).parent.mkdir(parents=True)
        shutil.copy(paths.embedded_model(), home / place)
    manifest = home / ".ollama/models/manifests/registry.ollama.ai/library/tiny/latest"
    manifest.parent.mkdir(parents=True)
    layer = '{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:%s"}'
    manifest.write_text('{"layers": [%s]}' % (layer % ("a" * 64)))
    return home


@pytest.fixture(scope="module")
def beside_others(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance that finds their models."""
    yield from serving(
        tmp_path_factory.mktemp("beside"),
        APPLIANCE_MODELS_FIND_ELSEWHERE="true",
        HOME=str(home),
        HF_HOME=str(home / "hf"),
        LLAMA_CACHE=str(home / "llama"),
    )


@pytest.mark.parametrize("owner", OWNERS)
def test_models_of_other_programs_answer_and_are_never_removed(
    owner: str, home: Path, beside_others: Running
) -> None:
    appliance, file = beside_others, home / OWNERS[owner]
    id = "tiny:latest" if owner == "ollama" else file.stem
    found = models(appliance)[id]
    assert (found["owner"], found["path"]) == (owner, str(file))
    body = {"model": id, "prompt": "One, two,", "max_tokens": 4}
    response = httpx.post(appliance.url + "/v1/completions", json=body, timeout=120)
    assert response.status_code == 200, response.text
    refused = httpx.delete(f"{appliance.url}/api/models/{id}")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
    assert str(file) in refused.json()["error"]["message"]
    assert file.exists()


def test_the_embedded_model_cannot_be_removed(appliance: Running) -> None:
    assert httpx.delete(f"{appliance.url}/api/models/{EMBEDDED}").status_code == 409
    assert paths.embedded_model().is_file()


def test_what_cannot_be_run_is_not_on_offer_and_a_request_is_told_why(tmp_path: Path) -> None:
    config = '[[models.available_models]]\nid = "small"\n'
    config += '[[models.available_models]]\nid = "listed"\npath = "t5.gguf"\n'
    appliance = Running(tmp_path, config=config)
    folder = appliance.data / "models"
    folder.mkdir(parents=True)
    (folder / "bad.gguf").write_text("not a model")
    llama(arch="t5").save(folder / "t5.gguf")
    llama(arch="t5", n_layer=1).save(folder / "other.gguf")
    Gguf((text("general.type", "adapter"),)).save(folder / "lora.gguf")
    appliance.start()
    faults = {
        "bad": "not a GGUF file",
        "listed": "encoder",
        "other": "encoder",
        "lora": "an adapter",
    }
    found = models(appliance)
    assert "lora" not in found
    for id in ("bad", "listed", "other"):
        assert (found[id]["status"], found[id]["fits"]) == ("failed", None)
        assert faults[id] in found[id]["detail"]
    offered = {m["id"] for m in httpx.get(appliance.url + "/v1/models").json()["data"]}
    assert not offered & {"bad", "other", "lora"}
    for id, fault in faults.items():
        body = {"model": id, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
        response = httpx.post(appliance.url + "/v1/chat/completions", json=body, timeout=60)
        assert response.status_code == (503 if id == "listed" else 404)
        assert fault in response.json()["error"]["message"]
    assert "signal" not in appliance.log.read_text()
    assert appliance.stop() == 0


CONFIGURED = """
[[models.available_models]]
id = "qwen"
name = "Qwen/Qwen2.5-0.5B-Instruct"
quantization = "q8"

[[models.available_models]]
id = "microsoft/Phi-3.5-mini-instruct"

[[models.available_models]]
id = "far"
upstream = "http://127.0.0.1:1/v1"
"""


def test_a_configured_model_of_the_hub_waits_for_its_file(tmp_path: Path) -> None:
    appliance = Running(tmp_path, config=CONFIGURED).start(ready=False)
    found = models(appliance)
    assert list(found) == ["qwen", "microsoft/Phi-3.5-mini-instruct", "far", EMBEDDED]
    qwen = found["qwen"]
    assert (qwen["owner"], qwen["downloaded"], qwen["path"]) == ("configuration", False, None)
    assert found["far"]["owner"] == "upstream"
    assert found["far"]["downloaded"]
    # Every route names the remedy.
    for id, remedy in (
        ("qwen", "appliance pull Qwen/Qwen2.5-0.5B-Instruct:q8"),
        ("microsoft/Phi-3.5-mini-instruct", "appliance pull microsoft/Phi-3.5-mini-instruct"),
    ):
        assert remedy in models(appliance)[id]["detail"]
        refused = httpx.post(f"{appliance.url}/api/models/{id}/load", timeout=60)
        assert refused.status_code == 404
        assert refused.json()["error"]["code"] == "model_not_downloaded"
        assert remedy in refused.json()["error"]["message"]

    folder = appliance.data / "models" / "Qwen" / "Qwen2.5-0.5B-Instruct-GGUF"
    folder.mkdir(parents=True)
    llama(n_layer=1).save(folder / "qwen2.5-0.5b-instruct-q4_k_m.gguf")
    file = folder / "qwen2.5-0.5b-instruct-q8_0.gguf"
    shutil.copy(paths.embedded_model(), file)
    body = {"model": "qwen", "prompt": "One, two,", "max_tokens": 4}
    response = httpx.post(appliance.url + "/v1/completions", json=body, timeout=120)
    assert response.status_code == 200, response.text
    wait_until(lambda: models(appliance)["qwen"]["path"] == str(file), "it is not found")
    # A file of another quantization of the same repository is listed separately.
    assert "qwen2.5-0.5b-instruct-q4_k_m" in models(appliance)
    assert appliance.stop() == 0
