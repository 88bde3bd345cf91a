"""Listeners are notified within one second when a key ends, whichever process ended it."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.auth.keys import watcher
from appliance.auth.keys.registry import Keys
from appliance.auth.vault.file_vaults import FileVault
from appliance.errors import VaultUnavailable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault.json"


@pytest.fixture
def keys(path: Path) -> Iterator[Keys]:
    made = Keys(FileVault(path))
    yield made
    made.close()


class Listener:
    """Collects the ids of the keys that ended."""

    def __init__(self, keys: Keys) -> None:
        self.ids: list[str] = []
        self._news = threading.Condition()
        keys.on_revoke(self)

    def __call__(self, key_id: str) -> None:
        with self._news:
            self.ids.append(key_id)
            self._news.notify_all()

    def within(self, seconds: float) -> list[str]:
        with self._news:
            self._news.wait_for(lambda: bool(self.ids), seconds)
        return self.ids


def elsewhere(path: Path, statement: str) -> str:
    """Runs code on the same keys in another process; returns its output."""
    code = f"""
from pathlib import Path
from appliance.auth.vault.file_vaults import FileVault
from appliance.auth.keys.registry import Keys
keys = Keys(FileVault(Path({str(path)!r})))
{statement}
"""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True, text=True
    ).stdout.strip()


def test_revoking_notifies_listeners_before_it_returns(keys: Keys) -> None:
    made = keys.create("office")
    listener = Listener(keys)
    keys.revoke(made.key.id)
    assert listener.ids == [made.key.id]


def test_another_process_revokes(keys: Keys, path: Path) -> None:
    made, kept = keys.create("office"), keys.create("home")
    keys.start()
    listener = Listener(keys)
    elsewhere(path, f"keys.revoke({made.key.id!r})")
    assert listener.within(1) == [made.key.id]
    assert keys.check(made.secret) is None
    assert keys.check(kept.secret)


def test_the_next_check_knows_also_without_the_thread(keys: Keys, path: Path) -> None:
    made = keys.create("office")
    assert keys.check(made.secret)
    secret = elsewhere(path, f"keys.revoke({made.key.id!r}); print(keys.create('new').secret)")
    assert keys.check(made.secret) is None
    assert keys.check(secret)


def test_expiry_is_reported(keys: Keys) -> None:
    made = keys.create("office", expires_at=time.time_ns() // 1_000_000 + 700)
    keys.start()
    listener = Listener(keys)
    assert listener.within(10) == [made.key.id]
    assert keys.check(made.secret) is None


def test_a_key_of_the_configuration_ends_by_a_revocation_elsewhere(keys: Keys, path: Path) -> None:
    plain = "sk-of-the-old-service-0123456789"
    key = keys.allow_plain(plain, "old")
    keys.start()
    listener = Listener(keys)
    elsewhere(path, f"keys.revoke(keys.import_plain({plain!r}, 'old').id)")
    assert listener.within(1) == [key.id]
    assert keys.check(plain) is None


def test_a_deleted_vault_ends_all_keys(keys: Keys, path: Path) -> None:
    made = keys.create("office")
    keys.start()
    listener = Listener(keys)
    path.unlink()
    assert listener.within(1) == [made.key.id]


def test_one_listener_that_fails_does_not_keep_it_from_the_others(
    keys: Keys, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(key_id: str) -> None:
        raise RuntimeError("no")

    made = keys.create("office")
    keys.on_revoke(failing)
    listener = Listener(keys)
    keys.revoke(made.key.id)
    assert listener.ids == [made.key.id]
    assert "a listener failed" in caplog.text


# -- a vault that cannot be read ------------------------------------------------------------------


class Broken(FileVault):
    """Cannot be read for a while; its stamp may or may not change."""

    broken = False
    reads = 0

    def get(self, name: str) -> bytes | None:
        self.reads += 1
        if self.broken:
            raise VaultUnavailable("the keyring is locked")
        return super().get(name)


def test_what_changed_and_cannot_be_read_lets_nobody_in(path: Path) -> None:
    vault = Broken(path)
    keys = Keys(vault)
    made = keys.create("office")
    assert keys.check(made.secret)
    vault.broken = True
    assert keys.check(made.secret), "nothing has changed"
    elsewhere(path, "keys.create('new')")
    reads = vault.reads
    for _ in range(20):
        with pytest.raises(VaultUnavailable, match="locked"):
            keys.check(made.secret)
    assert vault.reads <= reads + 1, "each look may ask a person for a password"
    vault.broken = False
    elsewhere(path, "keys.create('newer')")
    assert keys.check(made.secret)


def test_a_vault_that_is_locked_later_keeps_what_was_read(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watcher, "REREAD_SECONDS", 0.0)
    vault = Broken(path)
    keys = Keys(vault)
    made = keys.create("office")
    keys.start()
    try:
        vault.broken = True
        reads = vault.reads
        eventually(lambda: vault.reads > reads + 1)
        assert keys.check(made.secret)
        assert "count as last read" in caplog.text
    finally:
        keys.close()


def test_a_start_that_must_read_fails_and_another_goes_on_when_it_can(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "RETRY_SECONDS", 0.0)
    secret = Keys(FileVault(path)).create("office").secret
    vault = Broken(path)
    vault.broken = True
    keys = Keys(vault)
    with pytest.raises(VaultUnavailable, match="locked"):
        keys.start()
    keys.start(must_read=False)
    try:
        with pytest.raises(VaultUnavailable, match="locked"):
            keys.check(secret)
        vault.broken = False
        assert keys.check(secret)
    finally:
        keys.close()


def test_closing_ends_the_thread(keys: Keys) -> None:
    keys.start()
    assert any(thread.name == "keys" for thread in threading.enumerate())
    keys.close()
    keys.close()
    assert not any(thread.name == "keys" for thread in threading.enumerate())


def eventually(true: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)
