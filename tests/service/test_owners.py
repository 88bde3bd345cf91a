"""Cached prompts of one key are never used for another key, and stateless prompts for nobody after
a stop: two keys of a real appliance, with right and wrong guesses."""

import statistics
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.config import paths
from appliance.worker.runners.llama_cpp.native.bindings import lib
from tests.api.sse import events
from tests.running import Running
from tests.waiting import wait_until

SECRET = "The safe behind the portrait of the harbour master opens with swordfish and marzipan."
WRONG = "The tram behind the factory of the umbrella makers leaves with passengers and parcels."
FILLER = "Once there was a miller who had three sons, a mill, a donkey and a cat. " * 6
COMMON = "You are the patient clerk of a small town, and you answer in one short sentence. " * 5


class Keyholder:
    """A client with a key."""

    def __init__(self, appliance: Running, key: str) -> None:
        self.appliance = appliance
        self.headers = {"Authorization": f"Bearer {key}"}

    def new_key(self, name: str) -> "Keyholder":
        """A client with another key."""
        return Keyholder(self.appliance, self.post("/api/keys", name=name).json()["key"])

    def post(self, path: str, **body: Any) -> httpx.Response:
        response = httpx.post(
            self.appliance.url + path, json=body, headers=self.headers, timeout=120
        )
        response.raise_for_status()
        return response

    def stateless(self, content: str, system: str = "") -> dict[str, Any]:
        """Usage of a stateless chat."""
        head = [{"role": "system", "content": system}] if system else []
        messages = [*head, {"role": "user", "content": FILLER + content}]
        body = {"messages": messages, "max_tokens": 4, "temperature": 0}
        return details(self.post("/v1/chat/completions", **body).json()["usage"])

    def new_chat(self) -> str:
        return str(self.post("/api/sessions").json()["id"])

    def turn(self, session: str, content: str) -> dict[str, Any]:
        """Usage of a turn."""
        path = f"{self.appliance.url}/api/sessions/{session}/turns"
        body = {"content": content, "max_tokens": 4, "temperature": 0}
        with httpx.stream("POST", path, json=body, headers=self.headers, timeout=120) as response:
            assert response.status_code == 200, response.read()
            usage: dict[str, Any] = list(events(response))[-1][1]["message"]["usage"]
        return usage


def details(usage: dict[str, Any]) -> dict[str, Any]:
    return {**usage["prompt_tokens_details"], "prompt_tokens": usage["prompt_tokens"]}


def found(usage: dict[str, Any]) -> tuple[int, str | None]:
    return usage["cached_tokens"], usage["cached_from"]


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    running = Running(
        tmp_path_factory.mktemp("owners"),
        APPLIANCE_SECURITY_ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
    ).start()
    yield running
    assert running.stop() == 0


@pytest.fixture(scope="module")
def admin(appliance: Running) -> Keyholder:
    return Keyholder(appliance, appliance.make_key("admin", "--scope", "admin"))


@pytest.fixture(scope="module")
def alice(admin: Keyholder) -> Keyholder:
    return admin.new_key("alice")


def states(appliance: Running) -> list[Path]:
    return sorted((appliance.data.parent / "cache").rglob("*.kv"))


def bytes_of(appliance: Running) -> Iterator[tuple[Path, bytes]]:
    """The bytes of every file that it has written."""
    for folder in ("data", "cache"):
        for file in (appliance.data.parent / folder).rglob("*"):
            if file.is_file():
                yield file, file.read_bytes()
    yield appliance.log, appliance.log.read_bytes()


def token_bytes(text: str) -> bytes:
    """The tokens as a saved state contains them."""
    params = lib.llama_model_default_params()
    params.vocab_only = True
    model = lib.llama_model_load_from_file(str(paths.embedded_model()).encode(), params)
    tokens = (lib.llama_token * 256)()
    raw = text.encode()
    vocab = lib.llama_model_get_vocab(model)
    count = lib.llama_tokenize(vocab, raw, len(raw), tokens, len(tokens), False, False)
    lib.llama_model_free(model)
    assert count > 4
    return struct.pack(f"{count}i", *tokens[:count])


def test_a_guess_is_answered_alike_whether_it_is_right(
    appliance: Running, admin: Keyholder, alice: Keyholder
) -> None:
    """In slots and memory, and on disk after a stop; for stateless prompts and for chats."""
    first = alice.stateless(SECRET)
    assert found(first) == (0, None)
    chat = alice.new_chat()
    assert found(alice.turn(chat, FILLER + SECRET))[0] > 100  # her own request finds it
    wait_until(lambda: len(states(appliance)) == 1, "the chat is not saved")

    for tier in ("slot", "disk"):
        if tier == "disk":
            assert appliance.stop() == 0
            appliance.start()
        for guess in (WRONG, SECRET):
            bob = admin.new_key(f"{tier} {guess[:8]}")  # a key without requests so far
            assert found(bob.stateless(guess)) == (0, None)
            bob = admin.new_key(f"{tier} {guess[:8]}, in a chat")
            assert found(bob.turn(bob.new_chat(), FILLER + guess)) == (0, None)
        if tier == "slot":
            assert found(alice.stateless(SECRET))[0] == first["prompt_tokens"] - 1
    assert found(alice.turn(alice.new_chat(), FILLER + SECRET))[0] > 100


def test_a_chat_is_warm_for_whoever_goes_on_with_it(
    appliance: Running, admin: Keyholder, alice: Keyholder
) -> None:
    chat = alice.new_chat()
    begun = alice.turn(chat, FILLER + "And who is the hero?")
    assert found(admin.turn(chat, "Go on."))[0] >= begun["prompt_tokens"]


def test_the_administrator_s_prompt_is_shared_and_nothing_behind_it(
    appliance: Running, admin: Keyholder
) -> None:
    def set_profile(**settings: str) -> None:
        address = appliance.url + "/api/settings"
        httpx.put(address, json=settings, headers=admin.headers).raise_for_status()

    set_profile(system_prompt=COMMON)
    one, other, third, fourth = (admin.new_key(f"common {i}") for i in range(4))
    assert found(one.turn(one.new_chat(), FILLER + SECRET)) == (0, None)
    right = other.turn(other.new_chat(), FILLER + SECRET)
    wrong = third.turn(third.new_chat(), FILLER + WRONG)
    stateless = fourth.stateless(SECRET, COMMON)
    set_profile()
    shared = right["cached_tokens"]
    assert shared == wrong["cached_tokens"] == stateless["cached_tokens"]
    assert 50 < shared < right["prompt_tokens"] - 100
    # It is no longer shared.
    assert found(admin.new_key("late").stateless(SECRET, COMMON)) == (0, None)


def test_nothing_of_a_stateless_request_is_on_disk(appliance: Running, alice: Keyholder) -> None:
    word = "Zweckverbandsvorsitzende"
    secret = f"The {word} hides turpentine, accordions and saffron beside the northern canal."
    alice.stateless(secret)
    alice.post("/v1/completions", prompt=FILLER + secret, max_tokens=4)
    alice.post("/v1/embeddings", input=secret)
    alice.post("/chat/completions", prompt=FILLER + secret, max_token=4)
    before = len(states(appliance))
    alice.turn(alice.new_chat(), "A chat that is kept. " * 20)
    wait_until(lambda: len(states(appliance)) > before, "the chat is not saved")
    assert appliance.stop() == 0
    needles = [word.encode(), token_bytes(f" {word}")[4:], token_bytes(secret)[8:40]]
    for file, raw in bytes_of(appliance):
        for needle in needles:
            assert needle not in raw, file
    # This search would find it.
    kept = token_bytes(" A chat that is kept."), b" A chat that is kept."
    assert all(any(needle in raw for _, raw in bytes_of(appliance)) for needle in kept)

    folder = states(appliance)[0].parent
    (folder / "none-1-1.kv").write_bytes(b"of a version before")
    appliance.start()
    assert not list(folder.glob("none-*"))


@pytest.mark.soak
def test_a_right_guess_is_no_faster(admin: Keyholder, alice: Keyholder) -> None:
    """The times of 25 right and 25 wrong guesses, alternating, each with its own key; a cache hit
    would take a tenth of the time."""
    alice.stateless(SECRET)
    took: dict[str, list[float]] = {SECRET: [], WRONG: []}
    for number in range(25):
        for guess, times in took.items():
            bob = admin.new_key(f"{number} {guess[:8]}")
            began = time.perf_counter()
            bob.stateless(guess)
            times.append(time.perf_counter() - began)
    right, wrong = (statistics.median(times) for times in took.values())
    print(f"right guesses {right * 1000:.0f} ms, wrong ones {wrong * 1000:.0f} ms")
    assert 0.75 < right / wrong < 1.33


def test_an_attachment_is_its_keys_alone_until_it_is_sent(
    appliance: Running, admin: Keyholder, alice: Keyholder
) -> None:
    url = f"{appliance.url}/api/attachments"
    content = SECRET.encode()
    octets = {"Content-Type": "application/octet-stream"}

    def upload(who: Keyholder) -> dict[str, Any]:
        head: dict[str, str | int] = {"name": "safe.txt", "bytes": len(content)}
        made = httpx.post(
            url, params=head, content=content, headers=who.headers | octets, timeout=60
        )
        assert made.status_code == 201, made.text
        return dict(made.json())

    def statuses(who: Keyholder, id: str) -> list[int]:
        return [
            httpx.get(f"{url}/{id}{rest}", headers=who.headers).status_code
            for rest in ("", "/text", "/content")
        ]

    bob = admin.new_key("bob with files")
    hers = upload(alice)
    his = upload(bob)  # the same content
    assert {**hers, "id": ""} == {**his, "id": ""}
    assert statuses(bob, hers["id"]) == [404] * 3
    assert statuses(Keyholder(appliance, "none"), hers["id"]) == [401] * 3
    path = f"{url}/{hers['id']}"
    assert httpx.delete(path, headers=bob.headers).status_code == 404
    part = httpx.patch(path, params={"offset": 0}, content=b"x", headers=bob.headers | octets)
    assert part.status_code == 404
    fit = httpx.get(f"{url}/fit", params={"ids": hers["id"]}, headers=bob.headers)
    assert fit.status_code == 404
    session = bob.new_chat()
    body = {"content": "Open it.", "attachments": [hers["id"]]}
    turn = f"{appliance.url}/api/sessions/{session}/turns"
    assert httpx.post(turn, json=body, headers=bob.headers).status_code == 404
    assert httpx.delete(path, headers=alice.headers).status_code == 204
    assert statuses(bob, his["id"]) == [200] * 3
