"""Settings of chats and of the default profile, and which of them apply to a reply."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from appliance.store.settings import Settings
from tests.api.chat.chats import messages, new_session, stream, turn
from tests.running import Running

FIELDS = Settings.__struct_fields__
BY_THE_MODEL = {"seed": None, "reasoning_effort": None}
"""Settings without a value of their own by default."""

SAMPLERS: dict[str, Any] = {
    "min_p": 0.1,
    "seed": 7,
    "frequency_penalty": 0.5,
    "presence_penalty": -0.5,
    "repeat_last_n": -1,
    "dry_multiplier": 0.8,
    "dry_base": 2.0,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 100,
    "dry_sequence_breakers": ["\n", "."],
    "top_n_sigma": 2.0,
    "typical_p": 0.9,
    "xtc_probability": 0.2,
    "xtc_threshold": 0.2,
    "dynatemp_range": 0.3,
    "dynatemp_exponent": 1.5,
    "mirostat": 2,
    "mirostat_tau": 4.0,
    "mirostat_eta": 0.2,
    "samplers": ["top_k", "temperature"],
    "reasoning_effort": "none",
}


@pytest.fixture
def profile(running: Running) -> Iterator[str]:
    """The profile's address; it is empty again afterwards."""
    address = running.url + "/api/settings"
    yield address
    assert httpx.put(address, json={}).status_code == 200


def reply_to(session: str, content: str = "Count to ten.", **body: Any) -> dict[str, Any]:
    message: dict[str, Any] = stream(session + "/turns", content=content, **body)[-1][1]["message"]
    return message


def test_the_profile_shows_its_defaults_and_limits(profile: str) -> None:
    body = httpx.get(profile).json()
    assert {name: body[name] for name in FIELDS} == dict.fromkeys(FIELDS)
    assert set(body["defaults"]) == set(FIELDS)
    assert {k: v for k, v in body["defaults"].items() if v is None} == BY_THE_MODEL
    assert body["limits"]["max_response_tokens"] == body["defaults"]["max_tokens"] == 400


def test_the_profile_is_replaced_or_changed(profile: str) -> None:
    put = httpx.put(profile, json={"temperature": 0.5, "stop": ["a"]})
    assert (put.json()["temperature"], put.json()["stop"]) == (0.5, ["a"])
    changed = httpx.patch(profile, json={"top_k": 5, "stop": None})
    assert changed.json() == httpx.get(profile).json()
    assert [changed.json()[name] for name in ("temperature", "top_k", "stop")] == [0.5, 5, None]
    assert httpx.put(profile, json={"top_p": 1}).json()["temperature"] is None


@pytest.mark.parametrize(
    ("settings", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"device": "tpu"}, "device"),
        ({"stop": [""]}, "stop[0]"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temprature": 1}, "temprature"),
        ({"mirostat": 3}, "mirostat"),
        ({"samplers": ["top_k", "top_z"]}, "samplers[1]"),
        ({"reasoning_effort": "much"}, "reasoning_effort"),
        ({"dry_sequence_breakers": []}, "dry_sequence_breakers"),
    ],
)
def test_bad_settings_are_refused_by_name(
    running: Running, profile: str, settings: dict[str, Any], param: str
) -> None:
    session = new_session(running)
    before = httpx.get(session).json(), httpx.get(profile).json()
    for refused, name in (
        (httpx.put(profile, json=settings), param),
        (httpx.patch(profile, json=settings), param),
        (httpx.patch(session, json={"settings": settings}), f"settings.{param}"),
        (
            httpx.post(running.url + "/api/sessions", json={"settings": settings}),
            f"settings.{param}",
        ),
    ):
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == name
    assert (httpx.get(session).json(), httpx.get(profile).json()) == before


def test_a_reply_follows_request_session_and_profile_in_this_order(
    running: Running, profile: str
) -> None:
    def asked(*patches: dict[str, Any], **body: Any) -> int:
        """Tokens of a chat's first reply: a later one might end on its own before the limit."""
        session = new_session(running)
        for patch in patches:
            httpx.patch(session, json=patch)
        tokens: int = reply_to(session, **body)["usage"]["completion_tokens"]
        return tokens

    httpx.put(profile, json={"max_tokens": 3, "temperature": 0})
    five = {"settings": {"max_tokens": 5}}
    assert asked() == 3
    assert asked(five) == 5
    assert asked(five, max_tokens=7) == 7
    assert asked(five, {"settings": None}) == 3


def test_every_kind_of_reply_follows_the_settings(running: Running) -> None:
    session = new_session(running, settings={"max_tokens": 4, "temperature": 0})
    reply = reply_to(session)
    again = stream(f"{session}/messages/{reply['id']}/regenerate")[-1][1]["message"]
    assert again["content"] == reply["content"]
    more = stream(f"{session}/messages/{again['id']}/continue")[-1][1]["message"]
    assert more["usage"]["completion_tokens"] == 8


def test_every_sampler_is_kept_with_a_chat_and_reaches_its_replies(running: Running) -> None:
    session = new_session(running, settings=SAMPLERS)
    stored = httpx.get(session).json()["settings"]
    assert {name: value for name, value in stored.items() if value is not None} == SAMPLERS
    assert reply_to(session, max_tokens=2)["usage"]["seed"] == 7
    cleared = httpx.patch(session, json={"settings": dict.fromkeys(SAMPLERS)}).json()
    assert cleared["settings"] is None


def test_a_sampler_of_a_chat_changes_what_is_written(running: Running) -> None:
    """A dynamic temperature, XTC and mirostat draw other tokens from the same seed."""
    usual = {"seed": 5, "temperature": 1.5, "max_tokens": 30}
    plain = reply_to(new_session(running, settings=usual))["content"]
    assert reply_to(new_session(running, settings=usual))["content"] == plain
    for other in (
        {"mirostat": 2, "mirostat_tau": 1.0},
        {"dynatemp_range": 1.2},
        {"samplers": ["temperature"]},
        {"top_n_sigma": 0.1},
    ):
        assert reply_to(new_session(running, settings=usual | other))["content"] != plain, other


def test_the_system_prompt_and_the_stop_texts_of_a_session_count(running: Running) -> None:
    plain = new_session(running, settings={"temperature": 0, "max_tokens": 30})
    free = reply_to(plain)
    assert " " in free["content"]
    bound = new_session(running, settings={"temperature": 0, "max_tokens": 30, "stop": [" "]})
    stopped = reply_to(bound)
    assert stopped["finish_reason"] == "stop"
    assert " " not in stopped["content"]
    httpx.patch(plain, json={"settings": {"system_prompt": "You are a pirate. " * 20}})
    instructed = reply_to(plain, parent_id=None)
    assert instructed["usage"]["prompt_tokens"] > free["usage"]["prompt_tokens"] + 50


def test_a_device_that_the_model_does_not_run_on_is_reported(running: Running) -> None:
    session = new_session(running, settings={"device": "metal", "max_tokens": 2})
    accepted = dict(stream(session + "/turns", content="hello"))["accepted"]
    assert accepted["warning"].startswith("metal is not available")
    assert accepted["n_ctx"] > accepted["prompt_tokens"]
    assert (
        dict(stream(session + "/turns", content="hello", device="cpu"))["accepted"]["warning"]
        is None
    )


def test_a_missing_model_is_reported_at_once(running: Running) -> None:
    session = new_session(running, settings={"model": "no-such-model"})
    refused = httpx.post(session + "/turns", json={"content": "hello"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert messages(session) == []
    assert turn(
        session, "hello", model=httpx.get(running.url + "/v1/models").json()["data"][0]["id"]
    )
