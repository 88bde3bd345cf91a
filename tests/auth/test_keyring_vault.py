"""Slow, unsafe, small or broken keyrings: refused with a clear error, within seconds."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from keyring import errors
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null

from appliance.auth.vault.vault import KeyringVault
from appliance.errors import Conflict, VaultUnavailable

ROOT = Path(__file__).parents[2]
SECRET = "f3kQw-do-not-show"


class Memory(KeyringBackend):
    """A keyring in memory that may have a largest entry, as Windows has."""

    priority = 1.0

    def __init__(self, largest: int = 1 << 20) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[str, object] = {}
        self.largest = largest

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get(f"{service}/{username}")  # type: ignore[return-value]

    def set_password(self, service: str, username: str, password: str) -> None:
        if len(password) > self.largest:
            raise errors.PasswordSetError(f"too long: {password}")
        self.kept[f"{service}/{username}"] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[f"{service}/{username}"]


class Failing(Memory):
    """Raises the same for everything."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def get_password(self, service: str, username: str) -> str | None:
        raise self.error


class Slow(Memory):
    """Answers only when released."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = threading.Event()

    def get_password(self, service: str, username: str) -> str | None:
        self.answer.wait(30)
        return super().get_password(service, username)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "vault.lock"


def refused(call: Callable[[], object]) -> str:
    """The error's message, which came in time and contains no secret."""
    began = time.monotonic()
    with pytest.raises(VaultUnavailable) as caught:
        call()
    assert time.monotonic() - began < 5
    assert SECRET not in repr((caught.value, caught.value.__cause__, caught.value.__context__))
    return str(caught.value)


def test_values_come_back(lock: Path) -> None:
    backend = Memory()
    vault = KeyringVault(lock, backend=lambda: backend)
    vault.set("a", b"\x00\xff")
    vault.set("b", b"")
    assert KeyringVault(lock, backend=lambda: backend).get("a") == b"\x00\xff"
    assert vault.names() == ["a", "b"]
    vault.delete("a")
    assert vault.get("a") is None


def test_a_small_entry_holds_a_large_vault(lock: Path) -> None:
    backend = Memory(largest=100)
    vault = KeyringVault(lock, backend=lambda: backend, entry_length=100)
    for size in (10, 500, 2000, 400, 3000, 1):
        vault.set("a", bytes(size))
        assert vault.get("a") == bytes(size)
    # A longer value from before leaves nothing behind.
    assert len(backend.kept) == 1


def test_a_change_that_is_cut_off_anywhere_leaves_the_old_value_or_the_new_one(lock: Path) -> None:
    class Cut(Memory):
        writes = 10**6

        def set_password(self, service: str, username: str, password: str) -> None:
            self.writes -= 1
            if self.writes < 0:
                raise OSError("the power is off")
            super().set_password(service, username, password)

    backend = Cut()
    vault = KeyringVault(lock, backend=lambda: backend, entry_length=100)
    vault.set("a", b"1" * 400)
    for after in range(9):
        backend.writes = after
        old = vault.get("a")
        new = bytes([after]) * (300 + after * 50)
        try:
            vault.set("a", new)
            assert vault.get("a") == new
        except VaultUnavailable:
            assert vault.get("a") == old


@pytest.mark.parametrize("kind", [fail.Keyring, null.Keyring, chainer.ChainerBackend])
def test_an_unsafe_keyring_is_refused(kind: Callable[[], KeyringBackend], lock: Path) -> None:
    vault = KeyringVault(lock, backend=kind)
    assert "does not keep secrets safe" in refused(lambda: vault.get("a"))
    assert "does not keep secrets safe" in refused(lambda: vault.set("a", b"1"))


def test_plain_text_by_another_package_is_refused_also_below_another_name(lock: Path) -> None:
    plain = type("PlaintextKeyring", (Memory,), {"__module__": "keyrings.alt.file"})
    child = type("Mine", (plain,), {"__module__": "mine"})
    for kind in (plain, child):
        assert "does not keep secrets safe" in refused(KeyringVault(lock, backend=kind).names)


def test_a_slow_keyring_is_given_up_and_used_when_it_answers(lock: Path) -> None:
    backend = Slow()
    vault = KeyringVault(lock, timeout=0.3, backend=lambda: backend)
    assert "has not answered for 0.3 seconds" in refused(lambda: vault.get("a"))
    assert "has not answered" in refused(lambda: vault.set("a", b"1"))
    backend.answer.set()
    vault.set("b", b"2")
    assert vault.names() == ["b"]


def test_a_change_that_was_given_up_before_it_was_written_is_not_written_later(lock: Path) -> None:
    backend = Slow()
    slow = KeyringVault(lock, timeout=0.3, backend=lambda: backend)
    assert "has not answered" in refused(lambda: slow.set("a", b"1"))
    other = KeyringVault(lock, timeout=0.3, backend=lambda: backend)
    assert "Another process" in refused(lambda: other.set("b", b"2"))
    backend.answer.set()
    KeyringVault(lock, backend=lambda: backend).set("c", b"3")
    assert slow.names() == ["c"]


def test_a_slow_keyring_does_not_keep_the_process(lock: Path) -> None:
    code = f"""
import sys, time
from tests.auth.test_keyring_vault import Slow
from appliance.errors import VaultUnavailable
from appliance.auth.vault.vault import KeyringVault
from pathlib import Path
try:
    KeyringVault(Path({str(lock)!r}), timeout=0.2, backend=Slow).get("a")
except VaultUnavailable:
    sys.exit(7)
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT, timeout=60)
    assert done.returncode == 7
    assert time.monotonic() - began < 25


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (errors.KeyringLocked(SECRET), "is locked. Unlock it"),
        (errors.NoKeyringError(SECRET), "No keyring answers"),
        (errors.InitError(SECRET), "No keyring answers"),
        (FileNotFoundError(SECRET), "No keyring answers"),
        (RuntimeError(SECRET), r"failed (RuntimeError)"),
        (ValueError(SECRET), r"failed (ValueError)"),
        (TimeoutError(SECRET), "No keyring answers"),
    ],
)
def test_every_error_becomes_a_sentence(error: Exception, expected: str, lock: Path) -> None:
    vault = KeyringVault(lock, backend=lambda: Failing(error))
    calls: list[Callable[[], object]] = [
        lambda: vault.get("a"),
        lambda: vault.set("a", SECRET.encode()),
        vault.names,
    ]
    for call in calls:
        message = refused(call)
        assert expected in message
        assert "security.vault" in message


def test_an_error_while_writing_does_not_show_what_was_written(lock: Path) -> None:
    vault = KeyringVault(lock, backend=lambda: Memory(largest=10))
    assert "PasswordSetError" in refused(lambda: vault.set("a", SECRET.encode()))


@pytest.mark.parametrize(
    "kept",
    [
        *(7, b"bytes", ["list"], "", "text", SECRET, "{", '{"version": 1}'),
        *('{"version": 1, "entries": {"a": 7}}', "a:3:00", "b:x:y", "a:0:", f"a:{10**9}:00"),
    ],
)
def test_a_damaged_entry_is_reported_and_never_overwritten(kept: object, lock: Path) -> None:
    backend = Memory()
    backend.kept["appliance/vault"] = kept
    vault = KeyringVault(lock, backend=lambda: backend)
    assert "elete it to begin without keys" in refused(lambda: vault.get("a"))
    assert "elete it to begin without keys" in refused(lambda: vault.set("a", b"1"))
    assert backend.kept == {"appliance/vault": kept}


def test_two_at_once_lose_nothing(lock: Path) -> None:
    backend = Memory()

    def work() -> None:
        vault = KeyringVault(lock, timeout=60, backend=lambda: backend)
        for _ in range(25):
            vault.change("count", lambda value: str(int(value or b"0") + 1).encode())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert KeyringVault(lock, backend=lambda: backend).get("count") == b"100"


def test_the_stamp_changes_with_a_change_and_reads_nothing(lock: Path) -> None:
    backend = Memory()
    vault = KeyringVault(lock, backend=lambda: backend)
    before = vault.stamp()
    KeyringVault(lock, backend=lambda: backend).set("a", b"1")
    after = vault.stamp()
    assert before != after == vault.stamp()
    assert KeyringVault(lock, backend=Slow).stamp() == after


def test_an_error_of_the_caller_comes_out(lock: Path) -> None:
    backend = Memory()
    vault = KeyringVault(lock, backend=lambda: backend)

    def fail_(value: bytes | None) -> bytes:
        raise Conflict("no")

    with pytest.raises(Conflict, match="no"):
        vault.change("a", fail_)
    assert not backend.kept
