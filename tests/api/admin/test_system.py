"""Health, readiness, status, the page, and the errors when the program cannot run."""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from appliance.client.http import Client
from tests.api.admin.key_clients import Person
from tests.running import Running


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_health_and_readiness(running: Running, prefix: str) -> None:
    bodies = []
    for path, status in (("/health", "ok"), ("/readiness", "ready")):
        before = time.time()
        response = httpx.get(f"{running.url}{prefix}{path}")
        assert response.status_code == 200
        bodies.append(response.json())
        assert bodies[-1]["status"] == status
        assert before - 1 <= bodies[-1]["timestamp"] / 1000 <= time.time() + 1
        (model,) = bodies[-1]["models"]
        assert (model["state"], model["n_ctx"], model["device"]) == ("ready", 8192, "cpu")
    up = [each["uptime_seconds"] for each in bodies]
    assert 0 < up[0] <= up[1] < time.time() - psutil.Process(running.pid).create_time()


def test_readiness_is_503_until_the_model_is_loaded(tmp_path: Path) -> None:
    appliance = Running(tmp_path)
    # As on a new machine: the variants are verified first, which takes a second.
    (tmp_path / "cache" / "appliance" / "proof").unlink()
    appliance.start(ready=False)
    try:
        early = httpx.get(appliance.url + "/readiness")
        assert early.status_code == 503
        assert early.headers["Retry-After"]
        assert httpx.get(appliance.url + "/health").status_code == 200
        # A request that comes too early waits for the model instead of failing.
        response = httpx.post(
            appliance.url + "/v1/completions", json={"prompt": "x", "max_tokens": 1}, timeout=60
        )
        assert response.status_code == 200
        appliance.wait_ready()
    finally:
        assert appliance.stop() == 0


def test_while_the_default_model_is_not_there_the_embedded_one_answers(tmp_path: Path) -> None:
    config = '[[models.available_models]]\nid = "gone"\npath = "gone.gguf"\n'
    appliance = Running(tmp_path, config=config).start(ready=False)
    try:
        body = {"prompt": "x", "max_tokens": 1, "model": "gone"}
        response = httpx.post(appliance.url + "/v1/completions", json=body, timeout=60)
        assert response.status_code == 404
        assert response.json()["error"]["code"] == "model_not_downloaded"
        assert "gone.gguf" in response.json()["error"]["message"]
        model, *_ = httpx.get(appliance.url + "/api/status").json()["models"]
        assert (model["state"], model["missing"]) == ("failed", True)
        appliance.wait_ready()  # the embedded model answers
    finally:
        assert appliance.stop() == 0


def test_responses_carry_a_request_id_and_safe_headers(running: Running) -> None:
    given = httpx.get(running.url + "/health", headers={"X-Request-Id": "abc-123"})
    assert given.headers["X-Request-Id"] == "abc-123"
    strange = httpx.get(running.url + "/health", headers={"X-Request-Id": "a b\tc"})
    assert strange.headers["X-Request-Id"] != "a b\tc"
    assert strange.headers["X-Content-Type-Options"] == "nosniff"


def test_the_log_is_one_json_object_a_line_with_request_ids(running: Running) -> None:
    httpx.post(running.url + "/v1/completions", json={}, headers={"X-Request-Id": "find-me"})
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("request_id") == "find-me"]
    assert line["event"] == "POST /v1/completions 400"


def test_the_page_is_served_with_a_policy(running: Running) -> None:
    page = httpx.get(running.url + "/", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    script = page.text.split('src="')[1].split('"')[0]
    asset = httpx.get(running.url + script)
    assert asset.status_code == 200
    assert "immutable" in asset.headers["Cache-Control"]


def test_what_models_write_is_previewed_without_origin_and_network(running: Running) -> None:
    preview = httpx.get(running.url + "/preview")
    assert preview.status_code == 200
    policy = {
        name: values
        for name, *values in (
            one.split() for one in preview.headers["Content-Security-Policy"].split(";")
        )
    }
    assert policy["sandbox"] == ["allow-scripts"]
    assert policy["default-src"] == ["'none'"]
    sources = {
        source for name, found in policy.items() if name.endswith("-src") for source in found
    }
    assert sources == {"'none'", "'unsafe-inline'", "data:", "blob:"}
    assert policy["frame-ancestors"] == ["'self'"]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "appliance", *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_wrong_setting_ends_with_78_and_a_line_that_names_the_key(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[server]\nprot = 1\n")
    ended = run("serve", "--config", str(file), HOME=str(tmp_path))
    assert ended.returncode == 78
    assert "server.prot" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    wrong = run("serve", HOME=str(tmp_path), APPLIANCE_SERVER_PORT="many")
    assert wrong.returncode == 78
    assert "server.port" in wrong.stderr


def test_a_port_in_use_is_reported(running: Running, tmp_path: Path) -> None:
    port = running.url.rpartition(":")[2]
    ended = run("serve", "--port", port, HOME=str(tmp_path))
    assert ended.returncode == 78
    assert port in ended.stderr
    assert "Traceback" not in ended.stderr


# -- what clients without a key see ----------------------------------------------------------------


def test_strangers_learn_that_it_is_up_and_no_more(locked: Running, admin: Person) -> None:
    model = admin.get("/v1/models").json()["data"][0]["id"]
    strangers: tuple[dict[str, str], ...] = ({}, {"X-API-Key": "wrong"}, {"Cookie": "appliance=x"})
    for headers in strangers:
        for prefix in ("", "/v1"):
            health = httpx.get(f"{locked.url}{prefix}/health", headers=headers)
            assert (health.status_code, health.json()) == (200, {"status": "ok"})
            ready = httpx.get(f"{locked.url}{prefix}/readiness", headers=headers)
            assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    folders = str(locked.data.parent)
    for path in ("/", "/docs", "/openapi.json", "/api/me", "/health", "/readiness", "/none"):
        response = httpx.get(locked.url + path)
        assert model not in response.text and folders not in response.text, path
    for path in ("/metrics", "/api/status", "/v1/models", "/api/models"):
        assert httpx.get(locked.url + path).status_code == 401, path
    for path in ("/health", "/readiness"):
        assert admin.get(path).json()["models"][0]["id"] == model


def test_programs_of_the_same_person_still_find_it(locked: Running) -> None:
    assert Client(locked.url).is_appliance()
    assert locked.command("health").stdout == "ready\n"
