"""`/models` in both services' formats: available models, and those still to be downloaded."""

from typing import Any

import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from tests.running import Running

EMBEDDED = "smollm2-135m-instruct"
CONFIG = """
[[models.available_models]]
id = "mine"
name = "Somebody/My Model"
path = "mine.gguf"

[[models.available_models]]
id = "microsoft/Phi-3.5-mini-instruct"
"""


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An appliance whose configured models are not here."""
    appliance = Running(tmp_path_factory.mktemp("configured"), config=CONFIG).start(ready=False)
    yield appliance
    assert appliance.stop() == 0


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_the_embedded_model_in_both_shapes(running: Running, prefix: str) -> None:
    listed = httpx.get(f"{running.url}{prefix}/models").json()
    assert listed["object"] == "list"
    # Clients of other services choke on a list of texts.
    assert listed.get("models") == (None if prefix else ["SmolLM2-135M-Instruct"])
    (model,) = listed["data"]
    assert (model["id"], model["object"], model["owned_by"]) == (EMBEDDED, "model", "appliance")
    assert (model["name"], model["context_length"]) == ("SmolLM2-135M-Instruct", 8192)
    assert (model["quantization"], model["device"]) == ("Q4_1", "cpu")
    assert (model["loaded"], model["downloaded"]) == (True, True)
    for name in (EMBEDDED, "SmolLM2-135M-Instruct"):
        assert httpx.get(f"{running.url}{prefix}/models/{name}").json() == model


def test_what_is_not_downloaded_is_listed_as_such_and_the_embedded_model_is_there(
    configured: Running,
) -> None:
    listed = httpx.get(configured.url + "/models").json()
    found = {model["id"]: model for model in listed["data"]}
    assert list(found) == ["mine", "microsoft/Phi-3.5-mini-instruct", EMBEDDED]
    assert listed["models"][0] == "Somebody/My Model"
    for id in ("mine", "microsoft/Phi-3.5-mini-instruct"):
        assert (found[id]["downloaded"], found[id]["loaded"]) == (False, False)
    assert found[EMBEDDED]["downloaded"]
    assert str(configured.data / "models" / "mine.gguf") in found["mine"]["detail"]
    assert "appliance pull" in found["microsoft/Phi-3.5-mini-instruct"]["detail"]


@pytest.mark.parametrize("slash", ["/", "%2F"])
def test_a_name_with_its_slash(configured: Running, slash: str) -> None:
    for name in ("microsoft/Phi-3.5-mini-instruct", "Somebody/My Model"):
        for prefix in ("", "/v1"):
            path = name.replace("/", slash)
            response = httpx.get(f"{configured.url}{prefix}/models/{path}")
            assert response.status_code == 200, path
            assert name in (response.json()["id"], response.json()["name"])
    with openai.OpenAI(base_url=configured.url + "/v1", api_key="none") as client:
        assert client.models.retrieve("microsoft/Phi-3.5-mini-instruct").id.startswith("microsoft")
        assert len(client.models.list().data) == 3


@pytest.mark.parametrize(
    ("model", "remedy"),
    [("mine", "mine.gguf"), ("microsoft/Phi-3.5-mini-instruct", "appliance pull")],
)
def test_a_request_for_it_names_the_remedy(configured: Running, model: str, remedy: str) -> None:
    with openai.OpenAI(base_url=configured.url + "/v1", api_key="none") as client:
        with pytest.raises(openai.NotFoundError) as caught:
            client.chat.completions.create(
                model=model, messages=[{"role": "user", "content": "Hi"}]
            )
        assert caught.value.code == "model_not_downloaded"
        assert remedy in caught.value.message
    # Pages of the original service always name a model: the embedded one answers meanwhile.
    body = {"prompt": "Hi", "model_name": model, "max_token": 1}
    response = httpx.post(configured.url + "/chat/completions", json=body)
    assert response.status_code == 200
    assert "is not downloaded; " in response.headers["X-Appliance-Warning"]
    with connect(configured.url.replace("http", "ws") + "/chat/ws", proxy=None) as ws:
        ws.send(httpx.Request("POST", "http://x", json=body).content.decode())
        assert "__ERROR__" not in str(ws.recv(30))
        with pytest.raises(ConnectionClosedOK):
            ws.recv(30)


def test_the_embedded_model_answers_beside_them(configured: Running) -> None:
    body = {"prompt": "One, two,", "max_tokens": 2, "model": EMBEDDED}
    response = httpx.post(configured.url + "/v1/completions", json=body, timeout=120)
    assert response.status_code == 200
