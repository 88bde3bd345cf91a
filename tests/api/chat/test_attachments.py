"""Attachments over HTTP, with the real model: uploaded, sent, read by the model, kept."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.chat.chats import messages, new_session, stream, turn
from tests.running import Running, serving

OCTETS = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With a short context: what fills half of it is read in little time."""
    yield from serving(tmp_path_factory.mktemp("attachments"), APPLIANCE_ENGINE_N_CTX="768")


SHORT = {"max_tokens": 4, "temperature": 0}


def upload(running: Running, name: str, data: bytes, part: int = 4_000_000) -> dict[str, Any]:
    """Upload a file as the page does."""
    response = httpx.post(
        f"{running.url}/api/attachments",
        params={"name": name, "bytes": len(data)},
        content=data[:part],
        headers=OCTETS,
        timeout=60,
    )
    assert response.status_code == 201, response.text
    found: dict[str, Any] = response.json()
    for offset in range(part, len(data), part):
        response = httpx.patch(
            f"{running.url}/api/attachments/{found['id']}",
            params={"offset": offset},
            content=data[offset : offset + part],
            headers=OCTETS,
            timeout=60,
        )
        assert response.status_code == 200, response.text
        found = response.json()
    return found


def refused(running: Running, name: str, data: bytes) -> tuple[int, str]:
    """The status and the message of an upload that fails."""
    response = httpx.post(
        f"{running.url}/api/attachments",
        params={"name": name, "bytes": len(data)},
        content=data,
        headers=OCTETS,
        timeout=60,
    )
    return response.status_code, response.json()["error"]["message"]


def test_a_file_is_read_by_the_model_with_its_message_and_only_once(running: Running) -> None:
    text = "The spare key lies under the third flower pot.\n" * 20
    file = upload(running, "notes/keys.txt", text.encode("utf-16"))
    assert (file["name"], file["kind"], file["characters"]) == ("keys.txt", "text", len(text))
    session = new_session(running)
    turn(session, "Where is the key?", attachments=[file["id"]], **SHORT)
    first = messages(session)
    assert [it["name"] for it in first[0]["attachments"]] == ["keys.txt"]
    assert first[0]["content"] == "Where is the key?"
    plain = new_session(running)
    turn(plain, "Where is the key?", **SHORT)
    without = messages(plain)[1]["usage"]["prompt_tokens"]
    assert first[1]["usage"]["prompt_tokens"] > without + 200
    turn(session, "And the door?", **SHORT)
    usage = messages(session)[3]["usage"]
    assert usage["cached_tokens"] >= first[1]["usage"]["prompt_tokens"] - 1


def test_what_does_not_fit_is_cut_and_the_message_says_so(running: Running) -> None:
    long = "".join(f"Line {number} of a long list of things.\n" for number in range(2000))
    big, small = upload(running, "big.txt", long.encode()), upload(running, "s.csv", b"a,b\n1,2\n")
    ids = f"{big['id']},{small['id']}"
    fit = httpx.get(f"{running.url}/api/attachments/fit", params={"ids": ids}, timeout=60).json()
    n_ctx = fit["n_ctx"]
    (cut, whole) = fit["fits"]
    assert cut["tokens"] > n_ctx and 0 < cut["shown"] < len(long)
    assert long[cut["shown"] - 1] == "\n"
    assert (whole["shown"], whole["tokens"] < 20) == (None, True)
    session = new_session(running)
    (_, begun), *_ = turn(session, "What is it?", attachments=[big["id"], small["id"]], **SHORT)
    asked, reply = messages(session)
    assert begun["user"] == asked
    assert asked["attachments"][0]["shown"] == cut["shown"]
    assert "shown" not in asked["attachments"][1]
    assert n_ctx // 3 < reply["usage"]["prompt_tokens"] < n_ctx * 2 // 3
    turn(session, "Go on.", **SHORT)
    again = messages(session)[3]["usage"]
    assert again["cached_tokens"] >= reply["usage"]["prompt_tokens"] - 1


def test_a_message_may_be_nothing_but_a_file(running: Running) -> None:
    file = upload(running, "report.txt", b"All is well.")
    session = new_session(running)
    turn(session, "", attachments=[file["id"]], **SHORT)
    assert httpx.get(session).json()["title"] == "report.txt"


def test_another_version_of_a_message_keeps_the_file(running: Running) -> None:
    file = upload(running, "a.txt", b"One and two are three.")
    session = new_session(running)
    turn(session, "What is this?", attachments=[file["id"]], **SHORT)
    (sent,) = messages(session)[0]["attachments"]
    stream(f"{session}/turns", content="What?", parent_id=None, attachments=[sent["id"]], **SHORT)
    stored = messages(session)
    (again,) = stored[2]["attachments"]
    assert again["id"] != sent["id"] and again["name"] == "a.txt"
    assert stored[0]["attachments"] == [sent]
    text = httpx.get(f"{running.url}/api/attachments/{again['id']}/text").text
    assert text == "One and two are three."
    content = httpx.get(f"{running.url}/api/attachments/{again['id']}/content")
    assert content.content == b"One and two are three."
    assert content.headers["Content-Type"] == "application/octet-stream"
    assert "attachment" in content.headers["Content-Disposition"]


def test_copies_of_a_message_have_its_file_and_keep_it(running: Running) -> None:
    session = new_session(running)
    file = upload(running, "note.txt", b"The parrot is called Coco.")
    turn(session, "What is the parrot called?", attachments=[file["id"]], **SHORT)
    first = messages(session)[0]["id"]
    edited = httpx.post(f"{session}/messages/{first}/edit", json={"content": "Who is Coco?"}).json()
    branch = httpx.post(f"{session}/messages/{first}/branch").headers["Location"]
    httpx.delete(session)
    httpx.delete(f"{running.url}/api/deleted/{session.rpartition('/')[2]}")
    (copied,) = messages(running.url + branch)[0]["attachments"]
    assert [one["name"] for one in edited["attachments"]] == [copied["name"]] == ["note.txt"]
    kept = httpx.get(f"{running.url}/api/attachments/{copied['id']}/content")
    assert kept.content == b"The parrot is called Coco."


def test_a_file_in_parts_may_repeat_one_and_not_leave_one_out(running: Running) -> None:
    data = b"".join(b"%06d\n" % number for number in range(20_000))
    head: dict[str, str | int] = {"name": "n.log", "bytes": len(data)}
    url = f"{running.url}/api/attachments"
    begun = httpx.post(url, params=head, content=data[:50_000], headers=OCTETS).json()
    assert begun["kind"] is None
    one = f"{url}/{begun['id']}"
    gap = httpx.patch(one, params={"offset": 60_000}, content=data[60_000:], headers=OCTETS)
    assert gap.status_code == 409 and "byte 50000" in gap.json()["error"]["message"]
    session = new_session(running)
    early = httpx.post(f"{session}/turns", json={"content": "?", "attachments": [begun["id"]]})
    assert early.status_code == 409 and "n.log" in early.json()["error"]["message"]
    assert messages(session) == []
    more = httpx.patch(one, params={"offset": 50_000}, content=data[50_000:] + b"x", headers=OCTETS)
    assert more.status_code == 400
    for _ in range(2):
        part = httpx.patch(one, params={"offset": 0}, content=data[:50_000], headers=OCTETS)
        assert part.json()["kind"] is None
    done = httpx.patch(one, params={"offset": 50_000}, content=data[50_000:], headers=OCTETS)
    assert done.json()["kind"] == "text"
    assert httpx.get(f"{one}/content").content == data
    assert httpx.delete(one).status_code == 204
    assert httpx.get(one).status_code == 404


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("cat.txt", b"\x89PNG\r\n\x1a\n\0\0", "images can't be attached yet"),
        ("x.pdf", b"%PDF-1.7 and nothing else", "a damaged PDF"),
        ("x.txt", b"PK\x05\x06" + b"\0" * 18, "an archive"),
        ("x.txt", bytes(range(256)) * 20, "neither text nor a document"),
        ("x.txt", b" \n \n", "without any text"),
        ("x.txt", b"", "is empty"),
    ],
)
def test_what_can_not_be_read_is_refused_by_its_content(
    running: Running, name: str, data: bytes, words: str
) -> None:
    status, message = refused(running, name, data)
    assert status == 400
    assert words in message and message.startswith(name)


def test_a_file_that_is_too_large_is_refused_before_it_is_sent(running: Running) -> None:
    head: dict[str, str | int] = {"name": "film.txt", "bytes": 50 * 2**20 + 1}
    response = httpx.post(f"{running.url}/api/attachments", params=head)
    assert response.status_code == 400
    assert "film.txt has more than 50 MB" in response.json()["error"]["message"]


def test_one_that_was_sent_goes_with_its_message_only(running: Running) -> None:
    file = upload(running, "a.txt", b"One and two are three.")
    session = new_session(running)
    turn(session, "What is this?", attachments=[file["id"]], **SHORT)
    one = f"{running.url}/api/attachments/{file['id']}"
    assert httpx.delete(one).status_code == 409
    assert httpx.delete(session).status_code == 204
    assert httpx.get(f"{one}/text").status_code == 404
    assert httpx.post(f"{session}/restore").status_code == 200
    assert httpx.get(f"{one}/text").text == "One and two are three."


def test_an_attachment_that_is_not_there_leaves_nothing_behind(running: Running) -> None:
    session = new_session(running)
    for bad in ("att-none", "\udc80", "é"):
        body = b'{"content": "?", "attachments": ["%s"]}' % bad.encode("utf-8", "ignore")
        response = httpx.post(
            f"{session}/turns", content=body, headers={"Content-Type": "application/json"}
        )
        assert response.status_code == 404
        assert response.json()["error"]["param"] == "attachments"
    assert messages(session) == []
