"""The file encrypted with a service's master key: unreadable and unchangeable without it."""

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from keyring.errors import PasswordDeleteError

from appliance.auth.keys.registry import Keys
from appliance.auth.vault.encrypted import MASTER, EncryptedFileKeyring
from appliance.auth.vault.vault import Vault, open_vault
from appliance.errors import VaultUnavailable

SECRET = b"f3kQw-do-not-show"
PATIENT = 60.0


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """The credentials folder that systemd gives a service."""
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    make_master(folder)
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.vault"


def make_master(folder: Path, length: int = 32) -> None:
    file = folder / MASTER
    file.unlink(missing_ok=True)
    file.write_bytes(os.urandom(length))
    file.chmod(0o400)


def opened(path: Path, credentials: Path | None) -> Vault:
    return open_vault("encrypted", file=path, credentials=credentials, timeout=PATIENT)


def test_values_come_back_and_stand_nowhere(path: Path, credentials: Path) -> None:
    vault = opened(path, credentials)
    assert vault.names() == []
    values = {f"entry.{n}": SECRET + bytes(range(n * 8)) for n in range(20)}
    for name, value in values.items():
        vault.set(name, value)
    again = opened(path, credentials)
    assert {name: again.get(name) for name in again.names()} == values
    vault.delete("entry.1")
    vault.delete("entry.1")
    assert again.get("entry.1") is None
    content = path.read_bytes()
    assert SECRET not in content and b"entry" not in content


def test_keys_made_in_it_let_people_in(path: Path, credentials: Path) -> None:
    made = Keys(opened(path, credentials)).create("office", "manage")
    found = Keys(opened(path, credentials)).check(made.secret)
    assert found and found.may("manage")


def test_it_is_the_owners_alone_and_new_with_every_change(path: Path, credentials: Path) -> None:
    vault = opened(path, credentials)
    before = os.umask(0)
    try:
        vault.set("a", SECRET)
    finally:
        os.umask(before)
    files = [file for file in path.parent.iterdir() if file.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    first, stamp = path.read_bytes(), vault.stamp()
    vault.set("a", SECRET)
    second = path.read_bytes()
    # With another nonce, the same text shares nothing with it but the file's header.
    assert len(first) == len(second) and first[20:60] != second[20:60]
    assert vault.stamp() != stamp
    path.chmod(0o640)
    with pytest.raises(VaultUnavailable, match="chmod 600"):
        vault.get("a")


def refused(vault: Vault, match: str) -> None:
    """Reading and writing are refused, and the error contains nothing of the secret."""
    calls: list[Callable[[], object]] = [
        lambda: vault.get("a"),
        lambda: vault.set("a", b"new"),
        vault.names,
    ]
    for call in calls:
        with pytest.raises(VaultUnavailable, match=match) as caught:
            call()
        assert SECRET.decode() not in str(caught.value)


def test_another_key_does_not_open_it(path: Path, credentials: Path) -> None:
    opened(path, credentials).set("a", SECRET)
    before = path.read_bytes()
    make_master(credentials)
    refused(opened(path, credentials), "does not open with the service's master key")
    assert path.read_bytes() == before


@pytest.mark.parametrize("length", [0, 1, 17, 18, 25, 30, 46, -17, -1])
def test_a_truncated_file_is_reported_and_kept(length: int, path: Path, credentials: Path) -> None:
    opened(path, credentials).set("a", SECRET)
    cut = path.read_bytes()[:length]
    path.write_bytes(cut)
    refused(opened(path, credentials), "restore it and the key from a backup")
    assert path.read_bytes() == cut


def test_every_changed_byte_is_noticed(path: Path, credentials: Path) -> None:
    opened(path, credentials).set("a", SECRET)
    whole = path.read_bytes()
    keyring = EncryptedFileKeyring(path, credentials)
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(VaultUnavailable, match="does not open"):
            keyring.get_password("appliance", "vault")
    path.write_bytes(whole + b"\0")
    with pytest.raises(VaultUnavailable, match="does not open"):
        keyring.get_password("appliance", "vault")
    path.write_bytes(whole)
    assert opened(path, credentials).get("a") == SECRET


def test_without_a_master_key_nothing_is_stored_and_the_error_explains_it(
    path: Path, credentials: Path
) -> None:
    (credentials / MASTER).unlink()
    for folder in (credentials, None):
        vault = opened(path, folder)
        assert vault.names() == []  # a service without keys starts
        with pytest.raises(VaultUnavailable, match="no master key, so"):
            vault.set("a", SECRET)
    assert not path.exists()
    make_master(credentials)
    opened(path, credentials).set("a", SECRET)
    (credentials / MASTER).unlink()
    refused(opened(path, credentials), "no master key")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_master_key_of_another_length_is_none(length: int, path: Path, credentials: Path) -> None:
    make_master(credentials, length)
    with pytest.raises(VaultUnavailable, match="has not 32 bytes"):
        opened(path, credentials).set("a", SECRET)


def test_a_master_key_that_everybody_can_read_is_none(path: Path, credentials: Path) -> None:
    (credentials / MASTER).chmod(0o444)
    with pytest.raises(VaultUnavailable, match="Every user of this machine can read"):
        opened(path, credentials).set("a", SECRET)


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_full_disk_changes_nothing(
    function: str, path: Path, credentials: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = opened(path, credentials)
    vault.set("a", SECRET)
    before = path.read_bytes()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, function, full)
        with pytest.raises(VaultUnavailable, match="No space left"):
            vault.set("b", b"new")
    assert path.read_bytes() == before
    assert not list(path.parent.glob("*.part"))
    assert vault.names() == ["a"]


def test_it_works_like_any_keyring_backend(path: Path, credentials: Path) -> None:
    keyring = EncryptedFileKeyring(path, credentials)
    assert keyring.get_password("one", "anna") is None
    keyring.set_password("one", "anna", "ä")
    keyring.set_password("two", "anna", "b")
    assert keyring.get_password("one", "anna") == "ä"
    keyring.delete_password("one", "anna")
    assert keyring.get_password("one", "anna") is None
    assert keyring.get_password("two", "anna") == "b"
    with pytest.raises(PasswordDeleteError):
        keyring.delete_password("one", "anna")
