"""The whole service when the disk is full or read-only, the clock is wrong, or few files may be
open."""

import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.api.chat.chats import messages, new_session, turn
from tests.running import WITHOUT_MODEL, Running
from tests.store.conftest import read_only, small_disk
from tests.store.disk.test_read_only import fill
from tests.waiting import wait_until


def storage(appliance: Running) -> dict[str, str]:
    """The storage state, as `/readiness` and the page show it."""
    ready = httpx.get(appliance.url + "/readiness").json()["storage"]
    status = httpx.get(appliance.url + "/api/status").json()["storage"]
    assert (ready["state"], ready["detail"]) == (status["state"], status["detail"])
    found: dict[str, str] = ready
    return found


def answers(appliance: Running) -> bool:
    body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}
    reply = httpx.post(appliance.url + "/v1/chat/completions", json=body, timeout=120)
    return reply.status_code == 200


@pytest.mark.parametrize("trouble", ["read-only", "full"])
def test_it_starts_reads_and_says_so(tmp_path: Path, trouble: str) -> None:
    data = tmp_path / "data"
    data.mkdir()
    appliance = Running(tmp_path)
    with small_disk(data, 14_000_000):
        appliance.start()
        kept, gone = new_session(appliance), new_session(appliance)
        for chat in (kept, gone):
            turn(chat, "What is bread?", max_tokens=4)
        wait_until((data / "reserve-2").exists, "no room was kept for deleting")
        before = messages(kept)
        assert appliance.stop() == 0

        if trouble == "read-only":
            with read_only(data):
                appliance.start()
                assert messages(kept) == before
                assert storage(appliance)["state"] == "read_only"
                assert httpx.delete(gone).status_code == 503
                assert answers(appliance)
                assert appliance.stop() == 0
            return
        film = fill(data)
        appliance.start()
        assert messages(kept) == before
        assert storage(appliance)["state"] == "full"
        refused = httpx.post(kept + "/turns", json={"content": "And cheese?"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (507, "store_full")
        assert answers(appliance)
        made = appliance.command("backup")
        assert made.returncode == 1 and "not an error" not in made.stderr
        assert "No space left" in made.stderr or "no room" in made.stderr
        assert httpx.delete(gone).status_code == 204
        assert httpx.get(gone).status_code == 404
        film.unlink()
        turn(kept, "And cheese?", max_tokens=4)
        assert len(messages(kept)) == 4
        assert appliance.stop() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_64_open_files_are_enough(tmp_path: Path) -> None:
    command = (
        "import resource, sys, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (24, 64));"
        " sys.argv[0] = 'appliance'; runpy.run_module('appliance', run_name='__main__')"
    )
    appliance = Running(tmp_path, command=(sys.executable, "-c", command))
    appliance.start()
    for process in (appliance.pid, appliance.worker_pid):
        assert resource.prlimit(process, resource.RLIMIT_NOFILE) == (64, 64)
    chat = new_session(appliance)
    turn(chat, "What is bread?", max_tokens=4)

    def look(_: int) -> list[int]:
        with httpx.Client(base_url=appliance.url, timeout=60) as client:
            paths = ("/api/sessions", "/api/models", "/api/search?q=bread", "/api/status")
            return [client.get(path).status_code for path in paths]

    with ThreadPoolExecutor(12) as pool:
        found = [code for codes in pool.map(look, range(60)) for code in codes]
    assert set(found) == {200} and len(found) == 240
    # More than possible: those without a connection did no harm.
    with ThreadPoolExecutor(60) as pool:
        list(pool.map(lambda number: _try(look, number), range(60)))
    turn(chat, "And cheese?", max_tokens=4)
    assert len(messages(chat)) == 4
    assert len(list(Path(f"/proc/{appliance.pid}/fd").iterdir())) <= 64
    assert appliance.stop() == 0


def _try(look: object, number: int) -> None:
    try:
        look(number)  # type: ignore[operator]
    except httpx.HTTPError:
        return


def test_a_lost_wal_and_a_clock_jump_are_reported(tmp_path: Path) -> None:
    appliance = Running(
        tmp_path,
        command=WITHOUT_MODEL,
        APPLIANCE_LIMITS_SESSION_TTL_SECONDS="1000000",
        APPLIANCE_DATA_UNDO_SECONDS="100000",
    )
    appliance.start(ready=False)
    kept, deleted = new_session(appliance), new_session(appliance)
    assert httpx.delete(deleted).status_code == 204
    assert appliance.stop() == 0
    appliance.start(ready=False)
    lost = new_session(appliance)
    appliance.kill()
    (appliance.data / "appliance.db-wal").unlink()
    spoilt = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import apsw, sys; apsw.Connection(sys.argv[1]).execute(sys.argv[2]).fetchall()",
            str(appliance.data / "appliance.db"),
            "UPDATE storage SET wall = wall - 400 * 86400000",
        ],
        check=True,
    )
    assert spoilt.returncode == 0
    appliance.start(ready=False)

    def notices() -> list[dict[str, str]]:
        found: list[dict[str, str]] = httpx.get(appliance.url + "/api/status").json()["storage"][
            "notices"
        ]
        return found

    wait_until(lambda: len(notices()) == 2, "no notice appeared")
    jumped, missing = notices()
    assert jumped["code"] == "clock_jumped" and "400 days" in jumped["message"]
    assert missing["code"] == "changes_lost" and "may be missing" in missing["message"]
    assert httpx.get(lost).status_code == 404
    assert httpx.get(kept).status_code == 200
    assert httpx.post(deleted + "/restore").status_code == 200
    assert appliance.stop() == 0
