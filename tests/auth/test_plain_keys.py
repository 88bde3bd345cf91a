"""Keys made elsewhere: in the configuration, imported from it, or a service's credentials."""

from pathlib import Path

import pytest

from appliance.auth.keys.registry import Keys
from appliance.auth.vault.file_vaults import CredentialVault, FileVault
from appliance.errors import Conflict, RequestError, VaultUnavailable
from tests.auth.conftest import PLAIN


def test_a_key_of_the_configuration_counts_and_is_not_stored(keys: Keys, vault: FileVault) -> None:
    key = keys.allow_plain(PLAIN, "old", rpm=10)
    assert keys.check(PLAIN) == key
    assert (key.source, key.rpm, key.scope) == ("config", 10, "chat")
    assert vault.names() == []
    again = Keys(vault).allow_plain(PLAIN, "old")
    assert again.id == key.id, "the same after every start"
    with pytest.raises(Conflict, match="Two keys"):
        keys.allow_plain("another-key-of-that-name", "old")


def test_a_disabled_key_of_the_configuration_is_refused(keys: Keys) -> None:
    keys.allow_plain(PLAIN, "old", enabled=False)
    assert keys.check(PLAIN) is None


def test_a_key_of_the_configuration_counts_where_the_vault_cannot_be_read(
    keys: Keys, vault: FileVault, tmp_path: Path
) -> None:
    (tmp_path / "vault.json").mkdir()
    key = keys.allow_plain(PLAIN, "old")
    assert keys.check(PLAIN) == key
    assert keys.any_usable()
    with pytest.raises(VaultUnavailable):
        keys.check("may be in the vault")


@pytest.mark.parametrize("secret", ["", " ", "a b ", "ümlaut", "a\nb"])
def test_what_no_header_can_carry_is_no_key(secret: str, keys: Keys) -> None:
    for take in (keys.allow_plain, keys.import_plain):
        with pytest.raises(RequestError) as caught:
            take(secret, "old")
        assert caught.value.param == "key"


def test_a_short_key_is_warned_about(keys: Keys, caplog: pytest.LogCaptureFixture) -> None:
    key = keys.allow_plain("letmein", "old")
    assert "could be guessed" in caplog.text
    assert "letmein" not in caplog.text
    assert key.prefix == ""


def test_an_imported_key_goes_on_working_without_the_configuration(
    keys: Keys, vault: FileVault
) -> None:
    keys.allow_plain(PLAIN, "old")
    imported = keys.import_plain(PLAIN, "old", rpm=10)
    assert keys.check(PLAIN) == imported
    assert keys.import_plain(PLAIN, "again") == imported
    assert [key.id for key in keys.listed()] == [imported.id]
    assert Keys(vault).check(PLAIN) == imported


@pytest.mark.parametrize("imported", [True, False])
def test_a_revoked_key_is_refused_though_the_configuration_has_it(
    imported: bool, keys: Keys, vault: FileVault
) -> None:
    key = keys.allow_plain(PLAIN, "old")
    if imported:
        key = keys.import_plain(PLAIN, "old")
    keys.revoke(key.id)
    assert keys.check(PLAIN) is None
    again = Keys(vault)
    again.allow_plain(PLAIN, "old")
    assert again.check(PLAIN) is None
    with pytest.raises(Conflict, match="was revoked"):
        again.import_plain(PLAIN, "old")


def test_credentials_of_the_service_are_keys(tmp_path: Path) -> None:
    for name, secret in (("chat-key.ci", b"first-secret-of-many\n"), ("admin-key.me", b"second")):
        (tmp_path / f"appliance.{name}").write_bytes(secret)
        (tmp_path / f"appliance.{name}").chmod(0o400)
    keys = Keys(CredentialVault(tmp_path))
    assert [key.name for key in keys.allow_credentials()] == ["me", "ci"]
    found = keys.check("second")
    assert found is not None and found.may("admin")
    found = keys.check("first-secret-of-many")
    assert found is not None and not found.may("manage")
    with pytest.raises(Conflict, match="only reads"):
        keys.create("new")
