"""Batches and files, with OpenAI's own client, and through kills."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.clients.scripted import openai_client, serving_scripted
from tests.running import Running

SECONDS = 120
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An appliance that asks everybody for a key."""
    yield from serving_scripted(
        tmp_path_factory.mktemp("locked"),
        APPLIANCE_SECURITY_ENABLE_AUTH="true",
        APPLIANCE_SECURITY_VAULT="file",
    )


@pytest.fixture(scope="module")
def client(locked: Running) -> Iterator[Any]:
    with openai_client(locked, locked.make_key("batches")) as client:
        yield client


def line(id: str, text: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"echo:{text}"}]
    body = {"model": "fake", "messages": messages, **fields}
    return {"custom_id": id, "method": "POST", "url": CHAT, "body": body}


def begun(client: Any, lines: list[Any], endpoint: Any = CHAT, **fields: Any) -> Any:
    content = "\n".join(it if isinstance(it, str) else json.dumps(it) for it in lines)
    file = client.files.create(file=("requests.jsonl", content.encode()), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **fields
    )


def ended(client: Any, id: str) -> Any:
    deadline = time.monotonic() + SECONDS
    while (found := client.batches.retrieve(id)).status in ("in_progress", "cancelling"):
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found


def read(client: Any, file_id: str | None) -> dict[str, Any]:
    """The lines of a file by their ids; each stands there once."""
    if file_id is None:
        return {}
    lines = [json.loads(it) for it in client.files.content(file_id).text.splitlines()]
    found = {it["custom_id"]: it for it in lines}
    assert len(found) == len(lines)
    return found


def test_answers_and_errors_of_each_line(client: Any) -> None:
    lines: list[Any] = [line(f"number {it}", f"text {it}") for it in range(8)]
    lines += [line("unknown", "x", model="nothing"), line("hot", "x", temperature=99)]
    batch = begun(client, lines, metadata={"run": "1"})
    assert (batch.status, batch.request_counts.total) == ("in_progress", 10)
    done = ended(client, batch.id)
    assert (done.status, done.metadata) == ("completed", {"run": "1"})
    counts = done.request_counts
    assert (counts.total, counts.completed, counts.failed) == (10, 8, 2)
    answers = read(client, done.output_file_id)
    assert list(answers) == [f"number {it}" for it in range(8)]
    for number, answer in enumerate(answers.values()):
        assert answer["response"]["status_code"] == 200
        message = answer["response"]["body"]["choices"][0]["message"]
        assert message["content"] == f"text {number}"
    errors = read(client, done.error_file_id)
    statuses = {id: it["response"]["status_code"] for id, it in errors.items()}
    assert statuses == {"unknown": 404, "hot": 400}
    assert errors["hot"]["response"]["body"]["error"]["param"] == "temperature"
    assert batch.id in [it.id for it in client.batches.list(limit=5).data]
    output = client.files.retrieve(done.output_file_id)
    assert (output.purpose, output.bytes > 100) == ("batch_output", True)
    assert output.id in [it.id for it in client.files.list(purpose="batch_output").data]
    with pytest.raises(openai.ConflictError, match="completed already"):
        client.batches.cancel(batch.id)


def test_every_endpoint(client: Any) -> None:
    for endpoint, body, answer in (
        ("/v1/completions", {"prompt": "echo:A\x03"}, lambda it: it["choices"][0]["text"] == "A"),
        ("/v1/embeddings", {"input": "x"}, lambda it: len(it["data"][0]["embedding"]) == 2),
        (
            "/v1/responses",
            {"input": "echo:B"},
            lambda it: it["output"][0]["content"][0]["text"] == "B",
        ),
    ):
        asked = {
            "custom_id": "one",
            "method": "POST",
            "url": endpoint,
            "body": {"model": "fake", **body},
        }
        done = ended(client, begun(client, [asked], endpoint).id)
        assert done.request_counts.completed == 1, read(client, done.error_file_id)
        assert answer(read(client, done.output_file_id)["one"]["response"]["body"])


def test_what_is_wrong_with_a_file_is_told_by_line(client: Any) -> None:
    good = line("a", "x")
    wrong: list[Any] = [
        good,
        "not JSON",
        good,
        {**line("b", "x"), "url": "/v1/embeddings"},
        {"custom_id": "c", "url": CHAT},
        {**line("", "x")},
        line("d", "x", stream=True),
    ]
    batch = begun(client, wrong)
    assert (batch.status, batch.request_counts.total) == ("failed", 0)
    found = [(it.line, it.param) for it in batch.errors.data]
    assert found == [
        (2, None),
        (3, "custom_id"),
        (4, "url"),
        (5, "body"),
        (6, "custom_id"),
        (7, "body"),
    ]
    assert begun(client, ["\n\n"]).errors.data[0].code == "empty_file"
    with pytest.raises(openai.NotFoundError) as missing:
        client.batches.create(
            input_file_id="file-x", endpoint="/v1/embeddings", completion_window="24h"
        )
    assert missing.value.param == "input_file_id"
    unknown: Any = "/v1/moderations"
    with pytest.raises(openai.BadRequestError) as refused:
        begun(client, [good], unknown)
    assert refused.value.param == "endpoint"


def test_uploads_that_are_none(client: Any, locked: Running) -> None:
    for fields, param in (
        ({"file": ("a.jsonl", b""), "purpose": "batch"}, "file"),
        ({"file": ("a.jsonl", b"x"), "purpose": "vision"}, "purpose"),
    ):
        with pytest.raises(openai.BadRequestError) as refused:
            client.files.create(**fields)
        assert refused.value.param == param
    headers = {"Authorization": f"Bearer {client.api_key}"}
    address = f"{locked.url}/v1/files"
    assert httpx.post(address, json={}, headers=headers).status_code == 415
    form = {**headers, "Content-Type": "multipart/form-data; boundary=x"}
    for body in (
        b"",
        b"--x",
        b"--x\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n--x--",
    ):
        assert httpx.post(address, content=body, headers=form).status_code == 400
    page = {**form, "Origin": "https://evil.example"}
    assert httpx.post(address, content=b"--x--", headers=page).status_code == 403
    large = b"--x\r\n" + b"y" * (9 * 2**20)
    nobody = httpx.post(address, content=large, headers={"Content-Type": form["Content-Type"]})
    assert nobody.status_code == 413
    elsewhere = f"{locked.url}{CHAT}"
    assert httpx.post(elsewhere, content=large, headers=headers).status_code == 413


def highest_memory(pid: int) -> int:
    """The most bytes that the process has had."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def test_a_large_file_is_kept_whole_and_not_in_memory(client: Any, locked: Running) -> None:
    size = 30 * 2**20
    requests = [line(f"line {it}", "a" * 2**20) for it in range(29)]
    requests += [{**line("last", "b"), "url": "/v1/elsewhere"}]
    content = "\n".join(map(json.dumps, requests)).encode().ljust(size)
    client.files.create(file=("small.jsonl", b"{}"), purpose="batch")
    before = highest_memory(locked.pid) if sys.platform == "linux" else 0
    file = client.files.create(file=("large.jsonl", content), purpose="batch")
    assert file.bytes == size
    assert client.files.content(file.id).read() == content
    # All lines are read, and one of them is wrong.
    batch = client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    assert [(it.line, it.param) for it in batch.errors.data] == [(30, "url")]
    if sys.platform == "linux":
        assert highest_memory(locked.pid) - before < size
    client.files.delete(file.id)
    with pytest.raises(openai.NotFoundError):
        client.files.content(file.id)


def test_they_are_their_owners_alone(client: Any, locked: Running) -> None:
    batch = ended(client, begun(client, [line("a", "mine")]).id)
    with openai_client(locked, locked.make_key("others")) as other:
        for look in (other.batches.retrieve, other.batches.cancel):
            with pytest.raises(openai.NotFoundError):
                look(batch.id)
        for file_id in (batch.input_file_id, batch.output_file_id):
            for touch in (other.files.retrieve, other.files.content, other.files.delete):
                with pytest.raises(openai.NotFoundError):
                    touch(file_id)
        with pytest.raises(openai.NotFoundError):
            other.batches.create(
                input_file_id=batch.input_file_id, endpoint=CHAT, completion_window="24h"
            )
        assert other.batches.list().data == []
        assert other.files.list().data == []
    client.files.delete(batch.output_file_id)
    with pytest.raises(openai.NotFoundError):
        client.files.content(batch.output_file_id)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Running]:
    yield from serving_scripted(tmp_path, FAKE_STEP_SECONDS="0.004", APPLIANCE_ENGINE_N_SEQ_MAX="2")


def test_no_line_is_lost_or_doubled_by_kills(slow: Running) -> None:
    with openai_client(slow) as client:
        lines = [line(f"number {it}", f"text {it} " + "x" * 60) for it in range(24)]
        batch = begun(client, lines)
        done = 0
        for goal in (3, 10):
            deadline = time.monotonic() + SECONDS
            while (done := client.batches.retrieve(batch.id).request_counts.completed) < goal:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            slow.kill()
            slow.start()
            assert client.batches.retrieve(batch.id).request_counts.completed >= done
        slow.stop()
        slow.start()
        found = ended(client, batch.id)
        counts = found.request_counts
        assert (found.status, counts.completed, counts.failed) == ("completed", 24, 0)
        answers = read(client, found.output_file_id)
        assert list(answers) == [it["custom_id"] for it in lines]
        for number, answer in enumerate(answers.values()):
            text = answer["response"]["body"]["choices"][0]["message"]["content"]
            assert text == f"text {number} " + "x" * 60


def test_people_come_first_and_a_batch_can_be_cancelled(slow: Running) -> None:
    with openai_client(slow) as client:
        batch = begun(client, [line(f"number {it}", "x" * 60) for it in range(100)])
        while client.batches.retrieve(batch.id).request_counts.completed < 1:
            time.sleep(0.05)
        message: Any = {"role": "user", "content": "echo:" + "y" * 100_000}
        with client.chat.completions.create(
            model="fake", messages=[message], stream=True
        ) as person:
            written = 0
            before = None
            for chunk in person:
                written += len(chunk.choices[0].delta.content or "")
                if before is None and written:
                    before = client.batches.retrieve(batch.id).request_counts.completed
                if written > 1000:  # as long as 16 lines of two at a time
                    break
            # What ended in the step in which the person came may have been counted later.
            assert before is not None
            assert client.batches.retrieve(batch.id).request_counts.completed <= before + 2
        deadline = time.monotonic() + SECONDS
        while client.batches.retrieve(batch.id).request_counts.completed <= before + 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.batches.cancel(batch.id).status == "cancelling"
        found = ended(client, batch.id)
        assert (found.status, found.error_file_id) == ("cancelled", None)
        answers = read(client, found.output_file_id)
        assert 0 < len(answers) == found.request_counts.completed < 100
        for answer in answers.values():
            assert answer["response"]["body"]["choices"][0]["message"]["content"] == "x" * 60
