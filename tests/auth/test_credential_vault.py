"""Credentials from a service manager: read, never written, and readable by no one else."""

from pathlib import Path

import pytest

from appliance.auth.vault.file_vaults import CredentialVault
from appliance.auth.vault.vault import open_vault
from appliance.errors import ConfigError, Conflict, VaultUnavailable

SECRET = b"f3kQw-do-not-show"


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    folder = tmp_path / "credentials"
    folder.mkdir(mode=0o700)
    for name in ("appliance.chat-key.office", "appliance.chat-key.ci", "other.secret"):
        (folder / name).write_bytes(SECRET)
        (folder / name).chmod(0o400)
    return folder


def test_credentials_are_read(credentials: Path) -> None:
    vault = open_vault("credentials", credentials=credentials)
    assert vault.names() == ["chat-key.ci", "chat-key.office"]
    assert vault.get("chat-key.office") == SECRET
    assert vault.get("chat-key.nobody") is None


def test_credentials_are_never_written(credentials: Path) -> None:
    vault = CredentialVault(credentials)
    with pytest.raises(Conflict, match="only reads"):
        vault.set("new", b"")
    with pytest.raises(Conflict, match="only reads"):
        vault.delete("chat-key.ci")
    assert len(list(credentials.iterdir())) == 3


def test_credentials_that_everybody_can_read_are_refused(credentials: Path) -> None:
    (credentials / "appliance.chat-key.ci").chmod(0o444)
    with pytest.raises(VaultUnavailable, match="chmod o="):
        CredentialVault(credentials).get("chat-key.ci")


def test_absent_credentials_are_reported(tmp_path: Path) -> None:
    vault = CredentialVault(tmp_path / "nowhere")
    with pytest.raises(VaultUnavailable, match="LoadCredential="):
        vault.names()
    with pytest.raises(VaultUnavailable, match="LoadCredential="):
        vault.get("a")
    with pytest.raises(ConfigError, match="CREDENTIALS_DIRECTORY"):
        open_vault("credentials")


def test_a_vault_without_its_file_is_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match="needs a file"):
        open_vault("file")
    with pytest.raises(ConfigError, match="needs a file"):
        open_vault("keyring")
