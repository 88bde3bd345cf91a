"""The hub's responses: requested, parsed, and not trusted."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config.schema import HubSettings
from appliance.errors import HubUnavailable, ModelNotFound, RequestError
from appliance.models.hub.client import Hub
from appliance.models.hub.downloads import Downloads
from appliance.models.hub.reachable import why_unreachable
from tests.models.fake_hub import Hub as Hostile
from tests.models.fake_hub import serving

REPO = "Qwen/Qwen2.5-0.5B-Instruct-GGUF"
CONTENT = b"GGUF"


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    with serving() as hub:
        hub.repos[REPO] = {"qwen2.5-0.5b-instruct-q4_k_m.gguf": CONTENT}
        yield hub


def settings(hub: Hostile, **more: object) -> HubSettings:
    return HubSettings(endpoint=hub.url, **more)  # type: ignore[arg-type]


def test_offline_nothing_is_asked(hostile: Hostile, tmp_path: Path) -> None:
    downloads = Downloads(tmp_path, Hub(settings(hostile, offline=True)))
    with pytest.raises(HubUnavailable, match="HF_HUB_OFFLINE"):
        downloads.add(REPO)
    with pytest.raises(HubUnavailable):
        Hub(settings(hostile, offline=True)).search("qwen")
    assert hostile.asked == []


def test_a_token_opens_what_is_closed(hostile: Hostile, tmp_path: Path) -> None:
    hostile.token = "hf_secret"
    with pytest.raises(ModelNotFound):
        Hub(settings(hostile)).repo(REPO)
    assert Hub(settings(hostile, token="hf_secret")).repo(REPO).id == REPO
    (tmp_path / "token").write_text("hf_secret\n")
    assert Hub(settings(hostile, token_file=tmp_path / "token")).repo(REPO).id == REPO
    hostile.gated = True
    with pytest.raises(RequestError, match="terms"):
        Hub(settings(hostile, token="hf_secret")).repo(REPO)


def test_an_unreachable_hub_is_reported() -> None:
    with pytest.raises(HubUnavailable, match=r"127\.0\.0\.1:1"):
        Hub(HubSettings(endpoint="http://127.0.0.1:1")).repo(REPO)


@pytest.mark.parametrize("endpoint", ["http://hub.invalid", "https://hub.invalid:444"])
def test_without_a_network_the_reason_is_in_plain_words(endpoint: str) -> None:
    with pytest.raises(HubUnavailable, match="no connection to the internet") as refused:
        Hub(HubSettings(endpoint=endpoint)).search("qwen")
    assert "Errno" not in refused.value.message
    assert "hub.invalid" in refused.value.message


def test_a_hub_that_is_silent_is_given_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would try five times more."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
    attempts: list[object] = []
    connect = socket.create_connection

    def counted(address: tuple[str, int], timeout: float) -> socket.socket:
        attempts.append(address)
        return connect(address, timeout)

    monkeypatch.setattr(socket, "create_connection", counted)
    with pytest.raises(HubUnavailable, match="it refuses connections"):
        Hub(HubSettings(endpoint=f"http://127.0.0.1:{port}")).search("qwen")
    assert attempts == [("127.0.0.1", port)]


def test_the_way_to_the_hub_may_be_a_proxy(
    hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", hostile.url)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert why_unreachable("http://hub.invalid") == ""


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b""),
        (200, b""),
        (200, b"{"),
        (200, b"[]"),
        (200, b"null"),
        (200, b'{"id": "x"}'),
        (200, b'{"id": "x", "sha": "no commit", "siblings": []}'),
        (200, b'{"id": "x", "sha": "%s", "siblings": [3]}' % (b"a" * 40)),
        (200, b'{"id": "x", "sha": "%s", "siblings": [{"rfilename": "a.gguf"}]}' % (b"a" * 40)),
        (
            200,
            b'{"id": "x", "sha": "%s", "siblings": [{"rfilename": "a.gguf", "size": -1,'
            b' "blobId": "%s"}]}' % (b"a" * 40, b"b" * 40),
        ),
    ],
)
def test_nonsense_from_the_hub_is_an_error_that_says_so(
    status: int, body: bytes, hostile: Hostile
) -> None:
    hostile.answers[f"/api/models/{REPO}"] = (status, body)
    with pytest.raises(HubUnavailable):
        Hub(settings(hostile)).repo(REPO)


@pytest.mark.parametrize(
    "name",
    [
        *("../../evil.gguf", "/etc/evil.gguf", "a/../../evil.gguf", "a\\evil.gguf", "C:/e.gguf"),
        *("nul\x00.gguf", "a//evil.gguf", ".ssh/evil.gguf", "x" * 300 + ".gguf", "a\nb.gguf"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str, hostile: Hostile) -> None:
    hostile.repos["some/body-GGUF"] = {name: CONTENT}
    with pytest.raises(RequestError, match="name of a file"):
        Hub(settings(hostile)).resolve("some/body", "")


def test_the_hubs_own_name_for_a_repository_cannot_lead_elsewhere(hostile: Hostile) -> None:
    info = hostile.info(REPO)

    for id in ("../../etc", "other/name", REPO.upper()):
        hostile.answers[f"/api/models/{REPO}"] = (200, json.dumps({**info, "id": id}).encode())
        assert Hub(settings(hostile)).repo(REPO).id.lower() == REPO.lower()


def test_search(hostile: Hostile) -> None:
    (hit,) = Hub(settings(hostile)).search("qwen")
    assert (hit.repo, hit.licence, hit.downloads, hit.gated) == (REPO, "apache-2.0", 5, False)
    asked = hostile.asked[-1]
    assert (asked.query["search"], asked.query["filter"]) == (["qwen"], ["gguf"])
