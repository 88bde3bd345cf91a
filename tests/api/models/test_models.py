"""Several models: loaded on request, evicted for each other, refused when they cannot load."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from appliance.config import paths
from tests.api.chat.chats import new_session, turn
from tests.api.sse import events
from tests.running import Running

EMBEDDED = "smollm2-135m-instruct"
TWO = """
[[models.available_models]]
id = "first"
path = "{model}"

[[models.available_models]]
id = "second"
name = "The second"
path = "{model}"
context_length = 1024
"""


def two(tmp_path: Path, more: str = "", **environment: str) -> Running:
    config = TWO.format(model=paths.embedded_model()) + more
    return Running(tmp_path, config=config, **environment)


def ask(appliance: Running, model: str, **settings: Any) -> httpx.Response:
    return httpx.post(
        appliance.url + "/v1/completions",
        json={"model": model, "prompt": "One, two,", "max_tokens": 4, **settings},
        timeout=120,
    )


def states(appliance: Running) -> dict[str, str]:
    listed = httpx.get(appliance.url + "/api/status").json()["models"]
    # The model that comes with the appliance is on offer as well.
    return {it["id"]: it["state"] for it in listed if it["id"] != EMBEDDED}


def test_a_model_is_loaded_when_it_is_asked_for(tmp_path: Path) -> None:
    appliance = two(tmp_path).start()
    assert states(appliance) == {"first": "ready", "second": "unloaded"}
    for name in ("second", "The second"):
        response = ask(appliance, name)
        assert response.status_code == 200
        assert response.json()["model"] == "second"
    assert states(appliance) == {"first": "ready", "second": "ready"}
    long = ask(appliance, "second", prompt="word " * 1100)
    assert long.status_code == 400
    assert "1024" in long.json()["error"]["message"]
    assert appliance.stop() == 0


def test_the_model_used_longest_ago_gives_way_and_one_at_work_when_it_is_done(
    tmp_path: Path,
) -> None:
    appliance = two(tmp_path, APPLIANCE_MODELS_MAX_LOADED="1").start()
    body = {"model": "first", "prompt": "Once upon a time", "max_tokens": 150, "stream": True}
    with httpx.stream("POST", appliance.url + "/v1/completions", json=body, timeout=60) as stream:
        received = events(stream)
        next(received)
        with ThreadPoolExecutor() as other:
            waiting = other.submit(ask, appliance, "second")
            loads = httpx.post(appliance.url + "/api/models/second/load")
            assert loads.status_code == 503  # nobody waits for it
            assert 1 <= int(loads.headers["Retry-After"]) <= 60
            rest = list(received)
            assert waiting.result().status_code == 200
    assert rest[-1][1] == "[DONE]"
    assert states(appliance) == {"first": "unloaded", "second": "ready"}
    assert ask(appliance, "first").status_code == 200
    assert states(appliance) == {"first": "ready", "second": "unloaded"}
    assert appliance.stop() == 0


def test_requests_for_two_models_at_once_are_all_answered(tmp_path: Path) -> None:
    appliance = two(tmp_path, APPLIANCE_MODELS_MAX_LOADED="1").start()
    responses: list[httpx.Response] = []

    def work(model: str) -> None:
        responses.extend(ask(appliance, model) for _ in range(4))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("first", "second") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(responses) == 16
    assert {response.status_code for response in responses} == {200}
    assert ask(appliance, "second").status_code == 200
    assert appliance.stop() == 0


def test_an_idle_model_is_unloaded_and_comes_back_warm(tmp_path: Path) -> None:
    appliance = two(tmp_path, APPLIANCE_MODELS_KEEP_ALIVE_SECONDS="1").start()
    prompt = "There was a miller who had three sons. " * 20
    chat = new_session(appliance)
    first = turn(chat, prompt, model="first")[-1][1]["message"]["usage"]
    deadline = time.monotonic() + 30
    while states(appliance)["first"] != "unloaded":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    again = turn(chat, "And then?", model="first")[-1][1]["message"]["usage"]
    assert again["cached_from"] == "disk"
    assert again["cached_tokens"] >= first["prompt_tokens"] - 1
    assert appliance.stop() == 0


def test_what_cannot_be_loaded_is_refused_with_the_reason(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(paths.embedded_model().read_bytes()[:50_000_000])
    foreign = tmp_path / "foreign.gguf"
    foreign.write_text("not a model")
    more = f"""
[[models.available_models]]
id = "damaged"
path = "{damaged}"

[[models.available_models]]
id = "foreign"
path = "{foreign}"

[[models.available_models]]
id = "gone"
path = "gone.gguf"

[[models.available_models]]
id = "vast"
path = "{paths.embedded_model()}"
context_length = 1000000000
"""
    appliance = two(tmp_path, more).start()
    for model, status, reason in (
        ("damaged", 503, "damaged.gguf"),
        ("foreign", 503, "foreign.gguf"),
        ("gone", 404, "gone.gguf"),
        ("vast", 503, "GB"),
    ):
        response = ask(appliance, model)
        assert response.status_code == status, model
        assert reason in response.json()["error"]["message"]
        assert states(appliance)[model] == "failed"
    assert ask(appliance, "first").status_code == 200
    assert appliance.stop() == 0


def test_a_device_that_is_not_there_gives_way_with_a_warning(tmp_path: Path) -> None:
    appliance = Running(tmp_path, DEFAULT_DEVICE="cuda").start()
    response = ask(appliance, "smollm2-135m-instruct")
    assert response.status_code == 200
    assert "cuda" in response.headers["X-Appliance-Warning"]
    (model,) = httpx.get(appliance.url + "/api/status").json()["models"]
    assert model["device"] == "cpu"
    assert "cuda" in model["warning"]
    assert "cuda is not available" in appliance.log.read_text()
    assert appliance.stop() == 0
