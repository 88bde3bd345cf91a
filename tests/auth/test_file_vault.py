"""The key file: no other user can read it, and nothing in it is lost."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.auth.vault import file_lock
from appliance.auth.vault.file_vaults import CredentialVault, FileVault
from appliance.errors import Conflict, VaultUnavailable

ROOT = Path(__file__).parents[2]
SECRET = b"f3kQw-do-not-show"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault.json"


def test_values_come_back(path: Path) -> None:
    vault = FileVault(path)
    values = {f"entry.{n}": bytes(range(n * 8)) for n in range(20)}
    for name, value in values.items():
        vault.set(name, value)
    assert {name: FileVault(path).get(name) for name in FileVault(path).names()} == values
    vault.delete("entry.1")
    vault.delete("entry.1")
    assert vault.get("entry.1") is None
    assert len(vault.names()) == 19


def test_the_file_is_the_owners_alone_whatever_the_umask_says(path: Path) -> None:
    before = os.umask(0)
    try:
        FileVault(path).set("a", SECRET)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o620, 0o644, 0o666])
def test_a_file_that_others_can_open_is_refused(mode: int, path: Path) -> None:
    vault = FileVault(path)
    vault.set("a", SECRET)
    path.chmod(mode)
    for call in (lambda: vault.get("a"), vault.names, lambda: vault.set("b", b"")):
        with pytest.raises(VaultUnavailable, match="chmod 600"):
            call()
    path.chmod(0o600)
    assert vault.get("a") == SECRET


def test_a_folder_that_others_can_write_is_refused(path: Path) -> None:
    vault = FileVault(path)
    vault.set("a", SECRET)
    path.parent.chmod(0o777)
    with pytest.raises(VaultUnavailable, match="chmod go-w"):
        vault.get("a")
    with pytest.raises(VaultUnavailable, match="chmod go-w"):
        vault.set("a", b"")


def test_a_link_to_elsewhere_is_refused(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    FileVault(elsewhere).set("a", SECRET)
    path.symlink_to(elsewhere)
    vault = FileVault(path)
    with pytest.raises(VaultUnavailable, match="is a link"):
        vault.get("a")
    with pytest.raises(VaultUnavailable, match="is a link"):
        vault.set("a", b"new")
    assert FileVault(elsewhere).get("a") == SECRET


def test_a_link_in_place_of_the_lock_is_not_followed(path: Path) -> None:
    victim = path.with_name("victim")
    path.with_name("vault.json.lock").symlink_to(victim)
    with pytest.raises(VaultUnavailable, match="cannot be opened"):
        FileVault(path).set("a", SECRET)
    assert not victim.exists()


def test_what_is_no_file_is_refused(path: Path) -> None:
    path.mkdir()
    with pytest.raises(VaultUnavailable, match="not a plain file"):
        FileVault(path).get("a")
    path.rmdir()
    os.mkfifo(path, 0o600)
    with pytest.raises(VaultUnavailable, match="not a plain file"):
        FileVault(path).get("a")


def test_another_users_file_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FileVault(path).set("a", SECRET)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(VaultUnavailable, match="belongs to another user"):
        FileVault(path).get("a")


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"null",
        b'"text"',
        b'{"version": 2, "entries": {}}',
        b'{"version": 1, "entries": {"a": 7}}',
        b'{"version": 1, "entries": {"a": "not base64: f3kQw-do-not-show"}}',
        b'{"version": 1, "entries": {}, "more": 1}',
        b'{"version": 1, "entries": {}}' + b" " * 5_000_000,
        SECRET + b"\xff\x00",
    ],
)
def test_damage_is_reported_and_never_overwritten(damage: bytes, path: Path) -> None:
    path.write_bytes(damage)
    path.chmod(0o600)
    vault = FileVault(path)
    calls: list[Callable[[], object]] = [
        lambda: vault.get("a"),
        lambda: vault.set("a", b""),
        lambda: vault.delete("a"),
    ]
    for call in calls:
        with pytest.raises(VaultUnavailable, match="restore it from a backup") as caught:
            call()
        assert SECRET.decode() not in str(caught.value)
        assert caught.value.__cause__ is None and caught.value.__context__ is None
    assert path.read_bytes() == damage


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".a", "a" * 129, "a\n", "ä"])
def test_names_are_plain(name: str, path: Path) -> None:
    for vault in (FileVault(path), CredentialVault(path.parent)):
        with pytest.raises(ValueError, match="name"):
            vault.get(name)


@pytest.mark.parametrize("function", ["fsync", "replace", "open"])
def test_a_full_disk_changes_nothing(
    function: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = FileVault(path)
    vault.set("a", SECRET)
    before = path.read_bytes()
    real = os.open

    def full(target: object, *rest: int) -> int:
        if function != "open" or str(target).endswith(".part"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(str(target), *rest)

    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        with pytest.raises(VaultUnavailable, match="No space left"):
            vault.set("b", b"new")
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.part"))
    vault.set("b", b"new")
    assert vault.names() == ["a", "b"]


ADDS = """
import sys
from pathlib import Path
from appliance.auth.vault.file_vaults import FileVault
vault = FileVault(Path(sys.argv[1]), timeout=60)
for number in range(40):
    vault.set(f"{sys.argv[2]}-{number}", b"x" * 1000)
    vault.change("count", lambda value: str(int(value or b"0") + 1).encode())
    print(number, flush=True)
"""


def writer(path: Path, name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", ADDS, str(path), name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_two_processes_at_once_lose_nothing(path: Path) -> None:
    children = [writer(path, name) for name in ("a", "b")]
    for child in children:
        child.communicate(timeout=120)
        assert child.returncode == 0
    assert FileVault(path).get("count") == b"80"
    assert len(FileVault(path).names()) == 81


def test_eight_threads_at_once_lose_nothing(path: Path) -> None:
    vaults = [FileVault(path, timeout=60), FileVault(path, timeout=60)]

    def work(number: int) -> None:
        for _ in range(20):
            vaults[number % 2].change("count", lambda v: str(int(v or b"0") + 1).encode())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert vaults[0].get("count") == b"160"


def test_a_killed_process_leaves_a_whole_file_and_no_lock(path: Path) -> None:
    for round_ in range(5):
        with writer(path, f"r{round_}") as child:
            assert child.stdout is not None
            output_lines = [child.stdout.readline() for _ in range(round_ * 5 + 1)]
            child.send_signal(signal.SIGKILL)
            output_lines += child.stdout.readlines()
        names = FileVault(path).names()
        assert all(
            f"r{round_}-{line.strip()}" in names for line in output_lines if line.endswith("\n")
        )
        FileVault(path).set("after", b"")
        assert not list(path.parent.glob("*.part"))


def test_a_vault_locked_by_another_process_is_reported(path: Path) -> None:
    vault = FileVault(path, timeout=0.2)
    vault.set("a", SECRET)
    with file_lock.FileLock(path.with_name("vault.json.lock")).held(1):
        with pytest.raises(VaultUnavailable, match="Another process"):
            vault.set("a", b"new")
        assert vault.get("a") == SECRET


def test_the_stamp_changes_with_every_change(path: Path) -> None:
    vault = FileVault(path)
    stamps = [vault.stamp()]
    changes: list[Callable[[], None]] = [
        lambda: vault.set("a", b"1"),
        lambda: FileVault(path).set("a", b"2"),
        lambda: path.chmod(0o644),
        path.unlink,
    ]
    for change in changes:
        change()
        assert vault.stamp() != stamps[-1]
        stamps.append(vault.stamp())
        assert vault.stamp() == stamps[-1]


def test_an_error_of_the_caller_changes_nothing(path: Path) -> None:
    vault = FileVault(path)
    vault.set("a", SECRET)

    def fail(value: bytes | None) -> bytes:
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        vault.change("a", fail)
    assert vault.get("a") == SECRET
    vault.set("a", b"free again")


def test_the_file_is_json_that_others_can_back_up(path: Path) -> None:
    FileVault(path).set("a", b"abc")
    assert json.loads(path.read_text()) == {"version": 1, "entries": {"a": "YWJj"}}
