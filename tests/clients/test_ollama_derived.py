"""Ollama's own client: models that are made of others, and texts that go on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from appliance.api.dialects.ollama.context import packed, unpacked
from appliance.errors import RequestError
from tests.clients.scripted import serving_scripted
from tests.running import Running


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from serving_scripted(tmp_path_factory.mktemp("derived"))


@pytest.fixture(scope="module")
def client(appliance: Running) -> Iterator[ollama.Client]:
    with ollama.Client(host=appliance.url) as client:
        yield client


def user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def names(client: ollama.Client) -> list[str | None]:
    return [model.model for model in client.list().models]


def prompt_tokens(client: ollama.Client, name: str, messages: list[dict[str, Any]]) -> int:
    """A token of the scripted model is a byte: what was added to the prompt shows in the count."""
    return client.chat(model=name, messages=messages).prompt_eval_count or 0


def test_a_model_is_made_shown_used_copied_and_deleted(
    client: ollama.Client, appliance: Running
) -> None:
    steps = list(
        client.create(
            "Brief:7b",
            from_="fake:latest",
            system="Be brief.",
            parameters={"num_predict": 4, "stop": ["<a>", "<b>"], "temperature": 0.5},
            messages=[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}],
            license="free",
            stream=True,
        )
    )
    assert steps[-1].status == "success"
    assert "Brief:7b" in names(client)
    shown = client.show("brief:7b")
    raw = httpx.post(f"{appliance.url}/api/show", json={"model": "brief:7b"}).json()
    assert raw["system"] == "Be brief."
    assert raw["messages"][1] == {"role": "assistant", "content": "Yes?"}
    assert shown.details
    assert shown.details.parent_model == "fake"
    assert shown.license == "free"
    lines = [line.split(maxsplit=1) for line in (shown.parameters or "").splitlines()]
    assert ["stop", '"<a>"'] in lines
    assert ["stop", '"<b>"'] in lines
    assert ["num_predict", "4"] in lines
    assert 'SYSTEM """Be brief."""' in (shown.modelfile or "")

    said = client.chat(model="brief:7b", messages=user("echo:a long answer"))
    assert (said.message.content, said.done_reason, said.model) == ("a lo", "length", "brief:7b")
    more = client.chat(
        model="brief:7b", messages=user("echo:a long answer"), options={"num_predict": 6}
    )
    assert more.message.content == "a long"
    plain = prompt_tokens(client, "fake", user("echo:x"))
    spelled = [{"role": "system", "content": "Be brief."}, *user("Hi")]
    spelled += [{"role": "assistant", "content": "Yes?"}, *user("echo:x")]
    assert prompt_tokens(client, "brief:7b", user("echo:x")) == (
        prompt_tokens(client, "fake", spelled)
    )
    assert plain < prompt_tokens(client, "brief:7b", user("echo:x"))
    assert client.generate(model="brief:7b", prompt="echo:abcdef").response == "abcd"
    assert len(client.embed(model="brief:7b", input="a").embeddings) == 1
    assert client.pull("brief:7b").status == "success"

    client.copy("brief:7b", "other")
    made = client.create("third", from_="other", system="")
    assert made.status == "success"
    assert client.chat(model="third", messages=user("echo:a long answer")).message.content == "a lo"
    client.delete("brief:7b")
    assert names(client)[-1] == "fake:latest"
    assert set(names(client)) == {"other:latest", "third:latest", "fake:latest"}
    for gone in ("brief:7b", "brief"):
        with pytest.raises(ollama.ResponseError, match="not found") as missing:
            client.chat(model=gone, messages=user("a"))
        assert missing.value.status_code == 404
    appliance.stop()
    appliance.start()
    assert client.chat(model="OTHER", messages=user("echo:a long answer")).message.content == "a lo"


def test_what_cannot_be_made_is_refused_and_makes_nothing(
    client: ollama.Client, appliance: Running
) -> None:
    before = names(client)
    wrong: list[tuple[str, dict[str, Any], int, str]] = [
        ("create", {"model": "x"}, 400, "from"),
        ("create", {"model": "x", "from": "nobody"}, 404, "not found"),
        ("create", {"model": "fake", "from": "fake"}, 409, "already"),
        ("create", {"from": "fake"}, 400, "model is required"),
        ("create", {"model": "x", "from": "fake", "parameters": {"top_k": "a"}}, 400, "top_k"),
        ("create", {"model": "a\n", "from": "fake"}, 400, "printable"),
        ("create", {"model": "x", "from": "fake", "system": "a" * 300_000}, 400, "characters"),
        (
            "create",
            {"model": "x", "from": "fake", "messages": [{"role": "tool", "content": ""}]},
            400,
            "messages[0].role",
        ),
        ("copy", {"source": "nobody", "destination": "x"}, 404, "not found"),
        ("copy", {"source": "fake", "destination": "fake"}, 409, "already"),
        ("copy", {"source": "fake"}, 400, "destination"),
        ("push", {"model": "fake"}, 400, "uploaded"),
    ]
    for verb, body, status, what in wrong:
        answer = httpx.post(f"{appliance.url}/api/{verb}", json=body)
        assert answer.status_code == status, (body, answer.text)
        assert what in answer.json()["error"], body
    assert names(client) == before
    warned = httpx.post(
        f"{appliance.url}/api/create",
        json={"model": "warned", "from": "fake", "parameters": {"num_gpu": 1}, "stream": False},
    )
    assert "parameters.num_gpu" in warned.headers["X-Appliance-Warning"]
    client.delete("warned")


def test_a_key_to_chat_makes_and_deletes_nothing(tmp_path: Path) -> None:
    for locked in serving_scripted(
        tmp_path, APPLIANCE_SECURITY_ENABLE_AUTH="true", APPLIANCE_SECURITY_VAULT="file"
    ):
        headers = {"Authorization": f"Bearer {locked.make_key('guest')}"}
        owner = {"Authorization": f"Bearer {locked.make_key('owner', '--scope', 'manage')}"}
        with (
            ollama.Client(host=locked.url, headers=headers) as guest,
            ollama.Client(host=locked.url, headers=owner) as manager,
        ):
            manager.create("mine", from_="fake")
            asks: list[Callable[[], object]] = [
                lambda: guest.create("other", from_="fake"),
                lambda: guest.copy("fake", "other"),
                lambda: guest.delete("mine"),
            ]
            for ask in asks:
                with pytest.raises(ollama.ResponseError) as refused:
                    ask()
                assert refused.value.status_code == 403
            assert guest.chat(model="mine", messages=user("echo:a")).message.content == "a"


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_goes_on_from_its_context(client: ollama.Client, stream: bool) -> None:
    def generate(**fields: Any) -> Any:
        found: Any = client.generate(**{"model": "fake", "stream": stream, **fields})
        return list(found)[-1] if stream else found

    first = generate(prompt="echo:one", system="Be brief.")
    second = generate(prompt="echo:two", system="Be brief.", context=first.context)
    spelled: list[dict[str, Any]] = [{"role": "system", "content": "Be brief."}]
    spelled += [*user("echo:one"), {"role": "assistant", "content": "one"}, *user("echo:two")]
    assert second.prompt_eval_count == prompt_tokens(client, "fake", spelled)
    third = generate(prompt="echo:three", context=second.context)
    assert len(third.context) > len(second.context) > len(first.context)
    with pytest.raises(ollama.ResponseError, match="context"):
        client.generate(model="fake", prompt="a", context=[1, 2, 3])
    with pytest.raises(ollama.ResponseError, match="raw"):
        client.generate(model="fake", prompt="a", context=first.context, raw=True)


def test_contexts_of_others_are_refused_whatever_is_in_them() -> None:
    chat = [("user", "naïve 🙂 " * 50), ("assistant", "")]
    numbers = packed(chat)
    assert [tuple(it) for it in unpacked(numbers, 1000)] == chat
    assert all(0 <= number < 2**53 for number in numbers)
    mark, length, *data = numbers
    for wrong in (
        [],
        [mark],
        [mark, 0, 0],
        [mark, 2**62, *data],
        [mark, length, *data[:-1]],
        [mark, length, *data[:-1], -1],
        [mark, length, *data[:-1], 2**53],
        [mark, length, *data[::-1]],
        [mark, length, data[0] ^ 1, *data[1:]],
        packed([("user",)]),  # type: ignore[list-item]
        packed([("user", "a" * 50_000_000)]),
    ):
        with pytest.raises(RequestError) as refused:
            unpacked(wrong, 1000)
        assert refused.value.param == "context"
