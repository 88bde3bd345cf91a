"""Ollama's own client, with a scripted model for calls and thoughts, and with the real one."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest

from tests.clients.scripted import call, serving_scripted, thought
from tests.models.fake_hub import REPO, Behaviour, serving_one
from tests.running import Running

REAL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def client(scripted: Running) -> Iterator[ollama.Client]:
    with ollama.Client(host=scripted.url) as client:
        yield client


@pytest.fixture(scope="module")
def real(running: Running) -> Iterator[ollama.Client]:
    with ollama.Client(host=running.url) as client:
        yield client


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: its name
    """
    return f"sun in {city}"


def user_messages(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def test_a_chat_whole_and_streamed(client: ollama.Client) -> None:
    found = client.chat(model="fake", messages=user_messages("echo:Hello there"))
    assert found.message.content == "Hello there"
    assert (found.model, found.done, found.done_reason) == ("fake", True, "stop")
    pieces = list(
        client.chat(model="fake:latest", messages=user_messages("echo:Hello there"), stream=True)
    )
    assert "".join(piece.message.content or "" for piece in pieces) == "Hello there"
    assert all(piece.message.role == "assistant" for piece in pieces)
    assert [piece.done for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    last = pieces[-1]
    assert last.model == "fake:latest"
    for figure in ("total_duration", "load_duration", "prompt_eval_duration", "eval_duration"):
        assert last[figure] >= 1
    assert last.prompt_eval_count
    assert last.prompt_eval_count == found.prompt_eval_count
    assert last.eval_count
    assert last.eval_count >= 11


def test_a_call_and_its_result(client: ollama.Client) -> None:
    question = user_messages("echo:" + call("get_weather", city="Paris"))
    first = client.chat(model="fake", messages=question, tools=[get_weather])
    (use,) = first.message.tool_calls or []
    assert use.function.name == "get_weather"
    assert use.function.arguments == {"city": "Paris"}
    assert first.done_reason == "stop"
    turns: list[Any] = [
        *question,
        first.message,
        {"role": "tool", "tool_name": "get_weather", "content": get_weather("Paris")},
        *user_messages("echo:Sunny."),
    ]
    second = client.chat(model="fake", messages=turns, tools=[get_weather])
    assert second.message.content == "Sunny."


def test_streamed_calls_are_whole(client: ollama.Client) -> None:
    text = "echo:" + thought("Hm.", call("get_weather", city="Rome"))
    pieces = list(
        client.chat(
            model="fake", messages=user_messages(text), tools=[get_weather], think=True, stream=True
        )
    )
    assert "".join(it.message.thinking or "" for it in pieces).strip() == "Hm."
    calls = [piece.message.tool_calls for piece in pieces if piece.message.tool_calls]
    assert [[(it.function.name, it.function.arguments) for it in one] for one in calls] == [
        [("get_weather", {"city": "Rome"})]
    ]
    assert pieces[-1].message.tool_calls is None


def test_thinking_can_be_off(client: ollama.Client) -> None:
    found = client.chat(
        model="fake", messages=user_messages("echo:" + thought("Hm.", "Yes.")), think=True
    )
    assert found.message.content == "Yes."
    assert (found.message.thinking or "").strip() == "Hm."
    off = client.chat(model="fake", messages=user_messages("echo:Yes."), think=False)
    assert off.message.content == "Yes."
    assert not off.message.thinking


def test_generate(client: ollama.Client) -> None:
    found = client.generate(model="FAKE", prompt="echo:one two", system="Be brief.")
    assert (found.response, found.done_reason) == ("one two", "stop")
    pieces = list(client.generate(model="fake", prompt="echo:one two", stream=True))
    assert "".join(piece.response or "" for piece in pieces) == "one two"
    raw = client.generate(model="fake", prompt="echo:raw\x03", raw=True)
    assert raw.response == "raw"
    assert raw.context is None


def test_options(client: ollama.Client) -> None:
    options = {
        "num_predict": 3.0,
        "temperature": 0,
        "num_ctx": 4096,
        "seed": None,
        "penalize_newline": True,
        "stop": "zzz",
    }
    found = client.generate(model="fake", prompt="echo:abcdef", options=options)
    assert (found.response, found.done_reason) == ("abc", "length")
    stopped = client.generate(model="fake", prompt="echo:abcdef", options={"stop": ["d"]})
    assert (stopped.response, stopped.done_reason) == ("abc", "stop")
    with pytest.raises(ollama.ResponseError, match='option "temperature" must be of type float32'):
        client.generate(model="fake", prompt="echo:a", options={"temperature": "hot"})


def test_loading_and_unloading(client: ollama.Client) -> None:
    loaded = client.chat(model="fake")
    assert (loaded.message.content, loaded.done, loaded.done_reason) == ("", True, "load")
    assert [it.model for it in client.ps().models] == ["fake:latest"]
    gone = client.generate(model="fake", prompt="", keep_alive=0)
    assert gone.done_reason == "unload"
    assert client.ps().models == []
    assert client.generate(model="fake", prompt="", keep_alive="1h30m").done_reason == "load"
    (there,) = client.ps().models
    assert there.expires_at
    assert 5000 < there.expires_at.timestamp() - time.time() < 5410
    client.chat(model="fake", messages=user_messages("echo:a"), keep_alive=0)
    deadline = time.monotonic() + 60
    while client.ps().models:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    client.generate(model="fake", prompt="", keep_alive=-1)
    (there,) = client.ps().models
    assert there.expires_at
    assert there.expires_at.year > 2100
    with pytest.raises(ollama.ResponseError, match="no duration"):
        client.generate(model="fake", prompt="", keep_alive="soon")


def test_models(real: ollama.Client, running: Running) -> None:
    entry = next(it for it in real.list().models if it.model == f"{REAL}:latest")
    assert entry.size
    assert entry.size > 50_000_000
    assert entry.modified_at
    assert entry.digest
    assert len(entry.digest) == 64
    assert entry.details
    assert entry.details.family == "llama"
    assert entry.details.parameter_size == "134.52M"
    raw = httpx.get(f"{running.url}/api/tags").json()["models"]
    found = next(it for it in raw if it["name"] == f"{REAL}:latest")
    assert found["capabilities"][0] == "completion"
    shown = real.show(f"{REAL}:latest")
    assert shown.modelinfo
    assert shown.modelinfo["general.architecture"] == "llama"
    assert shown.modelinfo["llama.context_length"] == 8192
    assert shown.modelinfo["llama.embedding_length"] == 576
    assert shown.modelinfo["llama.attention.head_count"] == 9
    assert shown.capabilities == found["capabilities"]
    assert shown.template
    assert "messages" in shown.template
    assert shown.parameters
    assert shown.parameters.split()[0] == "num_ctx"
    old = httpx.post(f"{running.url}/api/show", json={"name": REAL}).json()
    assert old["details"]["families"] == ["llama"]
    (loaded,) = real.ps().models
    assert loaded.context_length
    assert httpx.get(f"{running.url}/api/version").json()["version"].count(".") == 2


def test_a_schema_is_kept_to(real: ollama.Client) -> None:
    schema = {
        "type": "object",
        "properties": {"year": {"type": "integer", "minimum": 1, "maximum": 9999}},
        "required": ["year"],
        "additionalProperties": False,
    }
    found = real.chat(model=REAL, messages=user_messages("When did the war end?"), format=schema)
    assert set(json.loads(found.message.content or "")) == {"year"}
    free = real.generate(model=REAL, prompt="Say it as JSON.", format="json")
    assert free.done_reason == "length" or isinstance(json.loads(free.response or ""), dict)


def test_logprobs(real: ollama.Client) -> None:
    found = real.chat(
        model=REAL,
        messages=user_messages("Hi"),
        logprobs=True,
        top_logprobs=2,
        options={"num_predict": 3},
    )
    assert found.logprobs
    assert len(found.logprobs) == 3
    assert all(len(it.top_logprobs or []) == 2 for it in found.logprobs)


def test_embeddings(real: ollama.Client) -> None:
    two = real.embed(model=REAL, input=["one", "two"])
    assert len(two.embeddings) == 2
    assert sum(x * x for x in two.embeddings[0]) == pytest.approx(1, abs=1e-3)
    short = real.embed(model=REAL, input="one", dimensions=64).embeddings[0]
    assert len(short) == 64
    assert sum(x * x for x in short) == pytest.approx(1, abs=1e-3)
    assert real.embed(model=REAL, input=[]).embeddings == []
    old = real.embeddings(model=REAL, prompt="one").embedding
    assert old == pytest.approx(two.embeddings[0], abs=0.05)
    with pytest.raises(ollama.ResponseError, match="exceeds the context length"):
        real.embed(model=REAL, input="word " * 9000, truncate=False)


def test_pulling_what_is_here(client: ollama.Client) -> None:
    assert client.pull("fake").status == "success"
    steps = [step.status for step in client.pull("fake:latest", stream=True)]
    assert steps == ["pulling manifest", "success"]


def test_errors(client: ollama.Client, real: ollama.Client, scripted: Running) -> None:
    for ask in (client.chat, client.generate, client.show, client.delete):
        with pytest.raises(ollama.ResponseError, match="model 'nothing' not found") as missing:
            ask("nothing")
        assert missing.value.status_code == 404
    with pytest.raises(ollama.ResponseError, match="cannot see images"):
        client.chat(model="fake", messages=[{"role": "user", "content": "", "images": [b"x"]}])
    with pytest.raises(ollama.ResponseError, match="does not support thinking"):
        real.chat(model=REAL, messages=user_messages("Hi"), think=True)
    with pytest.raises(ollama.ResponseError, match="does not support insert"):
        real.generate(model=REAL, prompt="a", suffix="b")
    nothing = httpx.post(f"{scripted.url}/api/chat", content="{}")
    assert nothing.status_code == 400
    assert nothing.json() == {"error": "model is required"}
    wrong = httpx.get(f"{scripted.url}/api/chat")
    assert isinstance(wrong.json()["error"], str)


def test_a_body_of_any_type_of_a_program_and_of_no_page(scripted: Running) -> None:
    body = json.dumps(
        {"model": "fake", "messages": user_messages("echo:Hi"), "stream": False, "foo": 1}
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    url = f"{scripted.url}/api/chat"
    response = httpx.post(url, content=body, headers=form)
    assert response.json()["message"]["content"] == "Hi"
    assert response.headers["X-Appliance-Warning"] == "ignored: foo"
    page = httpx.post(url, content=body, headers={**form, "Origin": scripted.url})
    assert page.status_code == 415
    assert isinstance(page.json()["error"], str)


def test_lines_are_all_json(scripted: Running) -> None:
    body = {"model": "fake", "messages": user_messages("echo:Hi")}
    response = httpx.post(f"{scripted.url}/api/chat", json=body)
    assert response.headers["content-type"] == "application/x-ndjson"
    lines = response.text.split("\n")
    assert lines.pop() == ""
    assert [json.loads(line)["done"] for line in lines][-1] is True


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    yield from serving_scripted(
        tmp_path_factory.mktemp("locked"),
        APPLIANCE_SECURITY_ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
        FAKE_N_CELLS="600",
    )


@pytest.fixture(scope="module")
def guest(locked: Running) -> Iterator[ollama.Client]:
    """A client with a chat key, and a small context."""
    headers = {"Authorization": f"Bearer {locked.make_key('guest')}"}
    with ollama.Client(host=locked.url, headers=headers) as client:
        yield client


def test_a_key_to_chat_neither_unloads_nor_downloads(locked: Running, guest: ollama.Client) -> None:
    assert guest.pull("fake").status == "success"
    with pytest.raises(ollama.ResponseError, match="scope manage") as refused:
        guest.pull("qwen2.5-0.5b")
    assert refused.value.status_code == 403
    guest.generate(model="fake", prompt="", keep_alive=0)
    guest.chat(model="fake", messages=user_messages("echo:a"), keep_alive=0)
    assert [it.model for it in guest.ps().models] == ["fake:latest"]
    with (
        ollama.Client(host=locked.url) as stranger,
        pytest.raises(ollama.ResponseError) as nobody,
    ):
        stranger.list()
    assert nobody.value.status_code == 401


def test_too_long_inputs_are_truncated_unless_disabled(guest: ollama.Client) -> None:
    long = "x" * 2000
    assert len(guest.embed(model="fake", input=long).embeddings) == 1
    turns = [
        *user_messages(long),
        {"role": "assistant", "content": "Well."},
        *user_messages("echo:Short."),
    ]
    assert guest.chat(model="fake", messages=turns).message.content == "Short."


def test_a_model_is_pulled_and_deleted(tmp_path: Path) -> None:
    with serving_one() as hub:
        hub.always = Behaviour(drip=0.01)
        appliance = Running(tmp_path, HF_ENDPOINT=hub.url).start(ready=False)
        try:
            with ollama.Client(host=appliance.url) as client:
                steps = list(client.pull(REPO, stream=True))
                assert steps[0].status == "pulling manifest"
                assert steps[-1].status == "success"
                done = [step.completed for step in steps if step.completed]
                assert done == sorted(done)
                assert done[-1] == next(step.total for step in steps if step.total)
                (name,) = [it.model for it in client.list().models if "qwen" in (it.model or "")]
                assert name
                assert client.pull(REPO).status == "success"
                client.delete(name)
                assert name not in [it.model for it in client.list().models]
                with pytest.raises(ollama.ResponseError) as missing:
                    client.pull("nobody/nothing")
                assert missing.value.status_code == 404
        finally:
            assert appliance.stop() == 0


def test_clients_ask_first_whether_anybody_is_here(scripted: Running) -> None:
    for path in ("/", "/api/version", "/api/tags"):
        response = httpx.head(f"{scripted.url}{path}")
        assert (response.status_code, response.content) == (200, b""), path
    assert httpx.get(f"{scripted.url}/").text == "Ollama is running"
    page = httpx.get(f"{scripted.url}/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert "Ollama" not in page.text
