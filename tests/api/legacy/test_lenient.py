"""The original service's server took what its clients sent; so does this one."""

import json
import math
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from websockets.sync.client import connect

from appliance.api.dialects.legacy.schemas import legacy_request
from appliance.api.wire.bodies import decode_fields
from tests.api.legacy.test_original import chat, history, messages_of, session_of
from tests.running import WITHOUT_MODEL, Running

IDS = [
    *("my chat", "schön", "a/b", "50%", "a%2Fb", "#1", "what?", "/", "..", "import", "x" * 500),
    *("a/rollback", "日本語 🙂", "tab\there", "' OR 1=1 --", '"quoted"', "trailing ", "a+b&c=d"),
]
SHORT = {"prompt": "Hi", "max-token": 3, "temperature": 0}


def read(**body: Any) -> Any:
    return legacy_request(decode_fields(json.dumps({"prompt": "Hi", **body})))


@pytest.mark.parametrize(
    ("body", "name", "value"),
    [
        ({"temperature": 3}, "temperature", 2),
        ({"temperature": -1}, "temperature", 0),
        ({"top-p": 1.5}, "top_p", 1),
        ({"top-p": -0.5}, "top_p", 1),
        ({"top-k": -1}, "top_k", 0),
        ({"top-k": 40.0}, "top_k", 40),
        ({"repeat-penalty": 0}, "repeat_penalty", 1),
        ({"repeat-penalty": -4}, "repeat_penalty", 1),
        ({"repeat-penalty": 99}, "repeat_penalty", 10),
        ({"max_tokens": 0}, "max_tokens", None),
        ({"max-token": -7}, "max_token", None),
        ({"max-token": 10**30}, "max_token", 2**31 - 1),
        ({"stop": [""]}, "stop", []),
        ({"stop": None}, "stop", None),
        ({"stop": ["a", "", "b" * 300]}, "stop", ["a"]),
        ({"device": "CUDA"}, "device", "cuda"),
        ({"device": "toaster"}, "device", None),
        ({"device": 3}, "device", None),
        ({"model-dir": None}, "warning", None),
        ({"model-dir": "/m"}, "warning", "ignored: model-dir"),
        ({"foo": 1, "a\u202eb": 2}, "warning", "ignored: foo, ?"),
        ({"top-k": 1, "top_k": 2}, "top_k", 2),
        ({"prompt": ""}, "prompt", ""),
        ({"session-id": ""}, "session_id", None),
    ],
)
def test_values_are_brought_into_their_range(body: dict[str, Any], name: str, value: Any) -> None:
    assert getattr(read(**body), name) == value


def test_what_is_left_out_has_the_original_defaults() -> None:
    params = read().with_defaults().params(2048)
    given = (params.max_tokens, params.temperature, params.top_p, params.top_k)
    assert given == (512, 0.7, 0.95, 10)
    assert math.isclose(params.repeat_penalty, 1)
    assert read().with_defaults().params(100).max_tokens == 100


def test_a_system_message_beside_the_prompt_is_the_system_prompt() -> None:
    """Its page sends its System Prompt box so."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    body = read(messages=messages)
    assert body.system_prompt == "Be brief."
    assert [(m.role, m.content) for m in body.chat()] == [("system", "Be brief."), ("user", "Hi")]
    assert read(messages=messages, system_prompt="Mine.").system_prompt == "Mine."
    assert [m.content for m in read(messages=[{"role": "user"}, 7]).chat()] == ["Hi"]


def test_its_pages_message_is_answered_with_its_system_prompt(running: Running) -> None:
    id = str(uuid.uuid4())
    message = {
        **SHORT,
        "session-id": id,
        "model-name": "SmolLM2-135M-Instruct",
        "top-k": 40,
        "repeat-penalty": 1.1,
        "device": "cpu",
        "stop": [],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
    }
    address = running.url.replace("http://", "ws://") + "/chat/ws"
    with connect(address, proxy=None) as ws:
        ws.send(json.dumps(message))
        pieces = list(ws)
    assert [m["role"] for m in history(running, id)] == ["system", "user", "assistant"]
    assert history(running, id)[-1]["content"] == "".join(map(str, pieces))
    # The same body over HTTP is its as well, though it has OpenAI's `messages`.
    chat(running, message)
    assert len(history(running, id)) == 5


def test_a_sloppy_request_is_answered_and_what_was_ignored_is_said(running: Running) -> None:
    body = {
        "prompt": "Hi",
        "max-token": 2,
        "top-k": -1,
        "repeat-penalty": 0,
        "stop": [""],
        "temperature": 3,
        "device": "toaster",
        "foo": {"bar": []},
        "model-dir": None,
    }
    for path in ("/chat/completions", "/completions"):
        response = httpx.post(running.url + path, json=body, timeout=60)
        assert response.status_code == 200, response.text
        assert response.headers["X-Appliance-Warning"] == "ignored: device, foo"


@pytest.mark.parametrize("path", ["/chat/completions", "/completions"])
def test_an_empty_prompt_is_a_turn(running: Running, path: str) -> None:
    id = str(uuid.uuid4())
    for session in (None, id):
        body = {"prompt": "", "max-token": 2, "temperature": 0, "session-id": session}
        response = httpx.post(running.url + path, json=body, timeout=60)
        assert response.status_code == 200, response.text
    assert [m["role"] for m in history(running, id)] == ["user", "assistant"]
    assert history(running, id)[0]["content"] == ""


def test_a_stream_of_completions_is_plain_text_or_chunks_by_its_body(running: Running) -> None:
    theirs = {"prompt": "The sea is", "max-token": 4, "temperature": 0, "stream": True}
    whole = httpx.post(running.url + "/completions", json={**theirs, "stream": False}).json()
    assert "".join(chat(running, theirs, "/completions")) == whole["text"]
    openais = {"prompt": "The sea is", "max_tokens": 4, "temperature": 0, "stream": True}
    (first, *_) = chat(running, openais, "/completions")
    assert json.loads(first)["object"] == "text_completion"


# -- ids ------------------------------------------------------------------------------------------


def test_a_client_chooses_any_id(running: Running) -> None:
    for id in IDS:
        path = f"/chat/history/{quote(id, safe='')}"
        if id == "..":  # which every client takes for a step up before it sends it
            path = "/chat/history/.%2e%2f"
        assert chat(running, {**SHORT, "session-id": id})
        assert id in httpx.get(running.url + "/sessions").json(), id
        ours = session_of(running, id)
        assert str(uuid.UUID(ours)) == ours
        assert len(messages_of(running, id)) == 2
        if id in ("..", "/"):
            continue
        assert len(history(running, quote(id, safe=""))) == 2, id
        rolled = httpx.post(f"{running.url}{path}/rollback", json={"amount": 1})
        assert rolled.json() == {"status": "ok"}
        assert len(history(running, quote(id, safe=""))) == 1, id
        assert httpx.delete(running.url + path).status_code == 204
        assert history(running, quote(id, safe="")) == [], id
        assert httpx.get(f"{running.url}/api/sessions/{ours}").status_code == 404


def test_a_client_finds_our_chats_by_our_ids(running: Running) -> None:
    ours = httpx.post(running.url + "/api/sessions", json={}).json()["id"]
    chat(running, {**SHORT, "session-id": ours})
    assert ours in httpx.get(running.url + "/sessions").json()
    assert len(history(running, ours)) == 2
    assert "client_id" not in httpx.get(f"{running.url}/api/sessions/{ours}").json()


def test_a_deleted_chat_comes_back_beside_the_new_one_of_its_id(running: Running) -> None:
    id = f"the same {uuid.uuid4()}"
    chat(running, {**SHORT, "session-id": id})
    old = session_of(running, id)
    httpx.delete(f"{running.url}/chat/history/{quote(id)}")
    chat(running, {**SHORT, "session-id": id, "prompt": "Anew"})
    new = session_of(running, id)
    restored = httpx.post(f"{running.url}/api/sessions/{old}/restore").json()
    assert (restored["id"], restored.get("client_id")) == (old, None)
    assert session_of(running, id) == new != old


# -- with a limit, and with keys ------------------------------------------------------------------

CONFIG = """
[security]
enable_auth = true

[[security.api_keys]]
key = "sk-of-the-office"
name = "office"
rate_limit_per_minute = 60

[[security.api_keys]]
key = "sk-of-the-lab"
name = "lab"

[[security.api_keys]]
key = "sk-of-the-neighbours"
name = "neighbours"

[[security.api_keys]]
key = "sk-of-the-boss"
name = "boss"
scope = "admin"
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance with its keys and its limit, and without a model."""
    folder: Path = tmp_path_factory.mktemp("guarded")
    appliance = Running(
        folder,
        config=CONFIG,
        command=WITHOUT_MODEL,
        APPLIANCE_LIMITS_DEFAULT_RATE_LIMIT_PER_MINUTE="100",
    ).start()
    yield appliance
    assert appliance.stop() == 0


def key(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer sk-of-the-{name}"}


def test_its_rate_limit_script_counts(guarded: Running) -> None:
    """70 requests, of which 60 are let in."""
    office = key("office")
    with httpx.Client(base_url=guarded.url, headers=office) as client:
        found = [client.get("/sessions") for _ in range(70)]
        assert [r.status_code for r in found] == [200] * 60 + [429] * 10
        left = [int(r.headers["X-RateLimit-Remaining"]) for r in found]
        assert left == [*range(59, -1, -1), *[0] * 10]
        assert {r.headers["X-RateLimit-Limit"] for r in found} == {"60"}
        assert found[-1].json() == {"error": "rate limit exceeded"}
        for path in ("/models", "/models/fake", "/chat/history/x"):
            refused = client.get(path)
            assert (refused.status_code, refused.json()) == (429, {"error": "rate limit exceeded"})
        body = {"prompt": "Hi", "model-name": "fake"}
        for path in ("/chat/completions", "/completions"):
            refused = client.post(path, json=body)
            assert (refused.status_code, refused.json()) == (429, {"error": "rate limit exceeded"})
        # A probe that is refused would restart the service.
        for path in ("/health", "/readiness", "/metrics"):
            probed = client.get(path)
            assert probed.status_code == 200
            assert probed.headers["X-RateLimit-Remaining"] == "0"


def test_its_key_reads_metrics_but_not_those_of_other_keys(guarded: Running) -> None:
    lab = key("lab")
    body = {**SHORT, "session-id": "of the lab"}
    httpx.post(guarded.url + "/chat/completions", json=body, headers=lab).raise_for_status()
    text = httpx.get(guarded.url + "/metrics", headers=lab).text
    assert "chat_completions_requests_total" in text
    assert "appliance_generated_tokens_total" not in text
    assert "office" not in text
    assert 'key="lab"' in httpx.get(guarded.url + "/metrics", headers=key("boss")).text
    assert httpx.get(guarded.url + "/metrics").json()["error"]["code"]


def test_two_keys_may_choose_the_same_id(guarded: Running) -> None:
    lab = key("lab")
    other = key("neighbours")
    for headers, prompt in ((lab, "Of the lab."), (other, "Of the other.")):
        body = {**SHORT, "session-id": "shared name", "prompt": prompt}
        httpx.post(guarded.url + "/chat/completions", json=body, headers=headers).raise_for_status()
    for headers, prompt in ((lab, "Of the lab."), (other, "Of the other.")):
        found = httpx.get(guarded.url + "/chat/history/shared%20name", headers=headers).json()
        assert [m["content"] for m in found if m["role"] == "user"] == [prompt]
        httpx.delete(guarded.url + "/chat/history/shared%20name", headers=headers)
    assert httpx.get(guarded.url + "/sessions", headers=lab).status_code == 200
