"""`appliance import`, with a service and without one, and the page's import."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx

from appliance.config.loader import load
from tests.chat.importers import samples
from tests.running import WITHOUT_MODEL, Running


def sessions(appliance: Running) -> list[Any]:
    found: list[Any] = httpx.get(appliance.url + "/api/sessions").json()["sessions"]
    return found


def test_chats_are_imported_without_a_service_and_with_one(
    tmp_path: Path,
) -> None:
    appliance = Running(tmp_path / "appliance", command=WITHOUT_MODEL)
    theirs = tmp_path / "sessions.json"
    theirs.write_bytes(samples.text(samples.original_json()))
    chats = tmp_path / "conversations.json"
    chats.write_bytes(samples.text(samples.chatgpt()))
    bad = tmp_path / "bad.json"
    bad.write_text("{", encoding="utf-8")

    made = appliance.command("import", str(theirs), "--json")
    assert made.returncode == 0, made.stderr
    assert len(json.loads(made.stdout)["imported"]) == 2

    appliance.start()
    mixed = appliance.command("import", str(bad), str(theirs), str(chats))
    assert mixed.returncode == 1
    assert mixed.stdout == "2 chats imported, 2 were here already\n"
    assert mixed.stderr.splitlines() == [
        "bad.json: it is not JSON: Input data was truncated",
        "conversations.json: the conversation 'Broken' has no messages",
    ]
    assert len(sessions(appliance)) == 4
    for name in samples.original_json():
        assert name in httpx.get(appliance.url + "/sessions").json()
    found = httpx.get(appliance.url + "/chat/history/my%20chat").json()
    assert found == samples.original_json()["my chat"]

    # The page sends files as they are.
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("conversations.json", samples.text(samples.open_webui()))
        archive.writestr("bad.json", "{")
    for name, body, type_ in (
        ("all.zip", packed.getvalue(), "application/zip"),
        ("claude.json", samples.text(samples.claude()), "application/json"),
    ):
        address = f"{appliance.url}/api/import?name={name}"
        answer = httpx.post(address, content=body, headers={"Content-Type": type_})
        assert answer.status_code == 200, answer.text
        assert [chat["title"] for chat in answer.json()["imported"]] == ["Bread"]
    # Also those that are larger than any other request may be.
    large = samples.claude()[0]
    large["chat_messages"][0]["text"] = "".join(f"{it:08x}" for it in range(2**20 + 2**19))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("conversations.json", json.dumps([{**large, "uuid": "zipped"}]))
    for body, type_ in (
        (json.dumps([{**large, "uuid": "large"}]).encode(), "application/json"),
        (packed.getvalue(), "application/octet-stream"),
    ):
        assert len(body) > 12 * 10**6
        answer = httpx.post(address, content=body, headers={"Content-Type": type_}, timeout=120)
        (chat,) = answer.json()["imported"]
        stored = httpx.get(f"{appliance.url}/api/sessions/{chat['id']}/export", timeout=120).json()
        assert stored["messages"][0]["content"].startswith(large["chat_messages"][0]["text"])
        httpx.delete(f"{appliance.url}/api/sessions/{chat['id']}")
    form = {"Content-Type": "text/plain"}
    refused = httpx.post(appliance.url + "/api/import", content=packed.getvalue(), headers=form)
    assert refused.status_code == 415

    # Our own export comes in as another chat, with all that it had.
    ours = httpx.get(f"{appliance.url}/api/sessions/{sessions(appliance)[0]['id']}/export").content
    json_type = {"Content-Type": "application/json"}
    again = httpx.post(appliance.url + "/api/import", content=ours, headers=json_type).json()
    assert len(again["imported"]) == 1
    copy = httpx.get(f"{appliance.url}/api/sessions/{again['imported'][0]['id']}/export").json()
    original = json.loads(ours)
    assert [m["content"] for m in copy["messages"]] == [m["content"] for m in original["messages"]]
    assert appliance.stop() == 0


ORIGINAL = """
[server]
host = "127.0.0.1"
port = 3000
log_level = "warn"

[models]
model_dir = "models"
default_device = "cuda"
max_concurrent_requests = 10
default_quantization = "bf16"

[[models.available_models]]
id = "qwen"
name = "Qwen/Qwen2.5-0.5B-Instruct"
context_length = 4096

[[models.available_models]]
id = "phi"
name = "microsoft/Phi-3.5-mini-instruct"
path = "weights/phi"

[[models.available_models]]
id = "mine"
name = "mine"
path = "models/mine.gguf"

[security]
enable_auth = false
allowed_origins = ["*"]
api_keys = [{ key = "sk-of-the-office", name = "office", rate_limit = 60, enabled = true }]

[limits]
max_sessions = 1000
session_ttl_seconds = 3600
default_rate_limit = 60

[observability]
metrics_path = ""

[cluster]
nodes = 3
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_original_service_is_left_as_it_is_and_all_of_it_comes_along(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    (theirs / "models").mkdir(parents=True)
    (theirs / "models" / "mine.gguf").write_bytes(b"GGUF")
    (theirs / "frontend" / "dist").mkdir(parents=True)
    (theirs / "frontend" / "dist" / "index.html").write_text("<html>")
    (theirs / "config.toml").write_text(ORIGINAL, encoding="utf-8")
    (theirs / "sessions.json").write_bytes(samples.text(samples.original_json()))
    hub = tmp_path / "hub"
    weights = hub / "models--Qwen--Qwen2.5-0.5B-Instruct" / "snapshots" / "abc"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"weights")
    before = tree(theirs)
    appliance = Running(
        tmp_path / "appliance",
        command=WITHOUT_MODEL,
        HF_HUB_CACHE=str(hub),
        APPLIANCE_SERVER_PORT="0",
    )
    file = tmp_path / "appliance" / "config" / "appliance" / "config.toml"
    file.write_text("# mine\n[engine]\nn_threads = 3\n", encoding="utf-8")

    said = appliance.command("migrate", str(theirs))
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    for line in (
        "kept    server.port",
        "changed server.log_level: now warning",
        "ignored models.default_quantization: each model's `quantization` says it",
        "kept    sessions.json: 2 chats, with their ids",
        f"kept    model mine: {theirs}/models/mine.gguf",
        "changed limits.default_rate_limit: now limits.default_rate_limit_per_minute",
        "changed observability.metrics_path: now /metrics, where its metrics were",
        "ignored cluster: there is no such section",
        "download appliance pull Qwen/Qwen2.5-0.5B-Instruct",
        "download appliance pull microsoft/Phi-3.5-mini-instruct",
        "Nothing was changed. To do it: add --apply",
    ):
        assert line in lines, (line, said.stdout)
    (other,) = [line for line in lines if line.startswith("changed model qwen:")]
    assert "in another format. llama.cpp needs GGUF" in other
    (ttl,) = [line for line in lines if line.startswith("kept    limits.session_ttl_seconds")]
    assert "nothing is deleted until somebody confirms it" in ttl
    (page,) = [line for line in lines if "frontend/dist" in line]
    assert "server.ui_dir" in page
    assert file.read_text("utf-8").startswith("# mine")

    done = appliance.command("migrate", str(theirs), "--apply")
    assert done.returncode == 0, done.stderr
    assert "2 chats imported" in done.stdout
    assert tree(theirs) == before
    written = file.read_text("utf-8")
    assert written.startswith("# mine\n[engine]\nn_threads = 3\n")
    config = load(file, environ={})
    assert (config.engine.n_threads, config.limits.session_ttl_seconds) == (3, 3600)
    assert [model.id for model in config.models.available_models] == ["qwen", "phi", "mine"]
    assert all(model.prewarm for model in config.models.available_models)
    assert config.models.available_models[2].path == str(theirs / "models" / "mine.gguf")
    assert config.limits.default_rate_limit_per_minute == 60
    assert config.security.api_keys[0].rate_limit_per_minute == 60
    (kept,) = [path for path in file.parent.iterdir() if path != file]
    assert kept.read_text("utf-8") == "# mine\n[engine]\nn_threads = 3\n"

    # Once more, nothing is there twice.
    again = appliance.command("migrate", str(theirs), "--apply")
    assert "0 chats imported, 2 were here already" in again.stdout
    assert load(file, environ={}) == config
    assert json.loads(appliance.command("migrate", str(theirs), "--json").stdout)["downloads"]


def test_a_folder_without_anything_is_no_error_and_a_broken_file_is_one(tmp_path: Path) -> None:
    appliance = Running(tmp_path / "appliance", command=WITHOUT_MODEL)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "there is none" in appliance.command("migrate", str(empty)).stdout
    (empty / "config.toml").write_text("[server", encoding="utf-8")
    broken = appliance.command("migrate", str(empty))
    assert (broken.returncode, "not TOML" in broken.stderr) == (78, True)
    (empty / "config.toml").write_text('[server]\nport = "x"\n', encoding="utf-8")
    wrong = appliance.command("migrate", str(empty))
    assert (wrong.returncode, "server.port" in wrong.stderr) == (78, True)
