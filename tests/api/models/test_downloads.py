"""Downloads by the API: they outlive the client and the service, and become models."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.config import paths
from tests.models.fake_hub import FILE, REPO, Behaviour, Hub, serving_one
from tests.running import Running


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving_one() as hub:
        yield hub


def call(appliance: Running, method: str, path: str, **body: object) -> httpx.Response:
    return httpx.request(method, appliance.url + path, json=body or None, timeout=60)


def download(appliance: Running, id: str) -> dict[str, Any]:
    found: dict[str, Any] = call(appliance, "GET", f"/api/downloads/{id}").json()
    return found


def wait_for(appliance: Running, id: str, *statuses: str, size: int = 0) -> dict[str, Any]:
    deadline = time.monotonic() + 120
    while (found := download(appliance, id))["status"] not in statuses or found[
        "done_bytes"
    ] < size:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    return found


def test_a_download_survives_a_kill_and_answers_in_the_end(hub: Hub, tmp_path: Path) -> None:
    hub.always = Behaviour(drip=0.002)
    appliance = Running(tmp_path, HF_ENDPOINT=hub.url).start()
    response = call(appliance, "POST", "/api/downloads", model="Qwen/Qwen2.5-0.5B-Instruct")
    assert response.status_code == 201, response.text
    begun = response.json()
    assert response.headers["Location"] == f"/api/downloads/{begun['id']}"
    assert (begun["repo"], begun["file"], begun["error"]) == (REPO, FILE, None)
    wait_for(appliance, begun["id"], "running", size=5_000_000)
    appliance.kill()
    folder = appliance.data / "models"
    assert not list(folder.rglob("*.gguf"))
    hub.always = Behaviour()
    appliance.start()
    done = wait_for(appliance, begun["id"], "done", "failed")
    assert done["status"] == "done", done
    assert hub.starts()[-1] >= 5_000_000

    models = call(appliance, "GET", "/api/models").json()["models"]
    (arrived,) = [model for model in models if model["repo"] == REPO]
    assert (arrived["owner"], arrived["downloaded"]) == ("appliance", True)
    # By its file's name, by the repository, by the name of the model itself.
    for name in (arrived["id"], REPO, "Qwen/Qwen2.5-0.5B-Instruct"):
        body = {"model": name, "prompt": "One, two,", "max_tokens": 2}
        answered = httpx.post(appliance.url + "/v1/completions", json=body, timeout=120)
        assert answered.status_code == 200, answered.text
        assert answered.json()["model"] == arrived["id"]
    assert call(appliance, "DELETE", f"/api/models/{arrived['id']}").status_code == 204
    assert list(folder.iterdir()) == [folder / ".downloads"]
    assert appliance.stop() == 0


def test_pause_resume_cancel(hub: Hub, tmp_path: Path) -> None:
    hub.always = Behaviour(drip=0.01)
    appliance = Running(tmp_path, HF_ENDPOINT=hub.url).start(ready=False)
    begun = call(appliance, "POST", "/api/downloads", model=f"{REPO}:q4").json()
    path = f"/api/downloads/{begun['id']}"
    wait_for(appliance, begun["id"], "running", size=1_000_000)
    assert call(appliance, "POST", f"{path}/pause").json()["status"] == "paused"
    assert call(appliance, "POST", f"{path}/resume").status_code == 200
    wait_for(appliance, begun["id"], "running", size=1_500_000)
    assert call(appliance, "POST", f"{path}/cancel").json()["status"] == "cancelled"
    again = call(appliance, "POST", f"{path}/resume")
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
    listed = call(appliance, "GET", "/api/downloads").json()["downloads"]
    assert [(one["id"], one["status"]) for one in listed] == [(begun["id"], "cancelled")]
    assert call(appliance, "POST", "/api/downloads/none/pause").status_code == 404
    assert appliance.stop() == 0
    assert not list((appliance.data / "models").rglob("*.part"))


def test_the_catalogue_asks_nobody_until_something_is_looked_for(hub: Hub, tmp_path: Path) -> None:
    appliance = Running(tmp_path, HF_ENDPOINT=hub.url).start(ready=False)
    shutil.copytree(
        paths.embedded_model().parent, appliance.data / "models" / REPO, dirs_exist_ok=True
    )
    call(appliance, "GET", "/api/models")
    found = call(appliance, "GET", "/api/catalogue").json()
    models = {one["model"]["id"]: one for one in found["models"]}
    assert len(models) >= 15
    assert {one["model"]["family"] for one in models.values()} == {
        *("Qwen", "Phi", "Llama", "Gemma", "SmolLM"),
    }
    assert models["qwen2.5-0.5b-instruct"]["downloaded"]
    assert not models["phi-3.5-mini-instruct"]["downloaded"]
    assert models["smollm2-360m-instruct"]["fits"] == "fits"
    assert (found["hub"], found["offline"]) == ([], False)
    assert found["quick_bytes"] > models["qwen2.5-0.5b-instruct"]["model"]["size"]
    assert hub.asked == []
    found = call(appliance, "GET", "/api/catalogue?q=phi+mini").json()
    assert {one["model"]["family"] for one in found["models"]} == {"Phi"}
    assert [hit["repo"] for hit in found["hub"]] == [REPO]
    assert [asked.path for asked in hub.asked] == ["/api/models"]
    assert appliance.stop() == 0


def test_what_the_hub_refuses_is_an_error_that_says_so(hub: Hub, tmp_path: Path) -> None:
    appliance = Running(tmp_path, HF_ENDPOINT=hub.url).start(ready=False)
    for body, status, code in (
        ({"model": "nobody/nothing"}, 404, "model_not_found"),
        ({"model": f"{REPO}:Q5_K_M"}, 404, "model_not_found"),
        ({"model": "a/b/c"}, 400, "invalid_request"),
        ({"model": ""}, 400, "invalid_request"),
        ({}, 415, "unsupported_media_type"),
    ):
        response = call(appliance, "POST", "/api/downloads", **body)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code), body
    hub.sizes[FILE] = 10**15
    response = call(appliance, "POST", "/api/downloads", model=REPO)
    assert (response.status_code, response.json()["error"]["code"]) == (507, "no_space")
    assert appliance.stop() == 0
    offline = Running(tmp_path, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="1").start(ready=False)
    asked = len(hub.asked)
    response = call(offline, "POST", "/api/downloads", model=REPO)
    assert (response.status_code, response.json()["error"]["code"]) == (503, "hub_unavailable")
    assert call(offline, "GET", "/api/catalogue?q=x").json()["offline"] is True
    assert len(hub.asked) == asked
    assert offline.stop() == 0
