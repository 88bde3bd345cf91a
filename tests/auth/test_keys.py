"""Keys: created, checked on every use, revoked at once; a secret is shown only once."""

import hashlib
import hmac
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from appliance.auth.keys import records
from appliance.auth.keys.registry import Keys
from appliance.auth.vault.file_vaults import FileVault
from appliance.errors import Conflict, NotFound, RequestError, VaultUnavailable
from tests.auth.conftest import PLAIN, Clock

WEEK = 7 * 24 * 3600 * 1000


def test_a_key_is_good_for_its_secret_alone(keys: Keys) -> None:
    made = keys.create("office", "manage", rpm=60)
    other = keys.create("home")
    assert keys.check(made.secret) == made.key
    assert keys.check(other.secret) == other.key
    for wrong in ("", " ", made.secret[:-1], made.secret + "x", made.secret.upper(), "apl_"):
        assert keys.check(wrong) is None
    for strange in ("\ud800", "ü" * 10_000, "\x00", made.key.id, made.key.prefix):
        assert keys.check(strange) is None


def test_a_check_compares_with_every_key_whether_one_fits_or_none(
    keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [keys.create(f"key {number}").secret for number in range(10)]
    compared = 0
    real = hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        nonlocal compared
        compared += 1
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    for secret in (made[0], made[-1], "apl_wrong", ""):
        compared = 0
        keys.check(secret)
        assert compared == 10


def test_secrets_are_long_and_all_different(keys: Keys) -> None:
    secrets = {keys.create(f"key {number}").secret for number in range(50)}
    assert len(secrets) == 50
    assert all(s.startswith("apl_") and len(s) == 47 and s.isascii() for s in secrets)


def test_another_start_knows_the_same_keys(keys: Keys, vault: FileVault, clock: Clock) -> None:
    made = keys.create("office", "admin", rpm=5, expires_at=clock.now + WEEK)
    again = Keys(vault, clock=clock)
    assert again.check(made.secret) == made.key
    assert [key.name for key in again.listed()] == ["office"]


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        ("chat", {"chat"}),
        ("manage", {"chat", "manage"}),
        ("admin", {"chat", "manage", "admin"}),
    ],
)
def test_scopes_are_ordered(scope: str, may: set[str], keys: Keys) -> None:
    key = keys.create("office", scope).key
    assert {s for s in ("chat", "manage", "admin") if key.may(records.check_scope(s))} == may


def test_an_expired_key_is_refused(keys: Keys, clock: Clock) -> None:
    made = keys.create("office", expires_at=clock.now + 1000)
    clock.now += 999
    assert keys.check(made.secret)
    clock.now += 1
    assert keys.check(made.secret) is None
    assert keys.listed()[0].id == made.key.id


def test_a_revoked_key_is_gone(keys: Keys, vault: FileVault) -> None:
    made = keys.create("office")
    kept = keys.create("home")
    keys.revoke(made.key.id)
    for each in (keys, Keys(vault)):
        assert each.check(made.secret) is None
        assert each.check(kept.secret)
        assert [key.name for key in each.listed()] == ["home"]
    with pytest.raises(NotFound):
        keys.revoke(made.key.id)


def test_when_a_key_was_used_is_known(keys: Keys, clock: Clock) -> None:
    made = keys.create("office")
    assert keys.listed()[0].last_used_at is None
    clock.now += 5
    keys.check(made.secret)
    assert keys.listed()[0].last_used_at == clock.now


@pytest.mark.parametrize(
    ("arguments", "param"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 65}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a\u202eb"}, "name"),
        ({"name": "a", "scope": "root"}, "scope"),
        ({"name": "a", "rpm": 0}, "rpm"),
        ({"name": "a", "expires_at": 1}, "expires_at"),
    ],
)
def test_wrong_arguments_are_reported(arguments: dict[str, object], param: str, keys: Keys) -> None:
    create: Callable[..., object] = keys.create
    with pytest.raises(RequestError) as caught:
        create(**arguments)
    assert caught.value.param == param
    assert keys.listed() == []


def test_a_name_is_taken_once(keys: Keys) -> None:
    keys.create("office")
    with pytest.raises(Conflict, match="office"):
        keys.create("office")


# -- nothing is lost, nothing is shown ------------------------------------------------------------


def test_keys_made_at_once_are_all_there(vault: FileVault) -> None:
    made: list[str] = []

    def work(number: int) -> None:
        mine = Keys(FileVault(vault._path, timeout=60))
        made.extend(mine.create(f"{number}-{n}").secret for n in range(10))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    keys = Keys(vault)
    assert len(made) == 80
    assert all(keys.check(secret) for secret in made)


@pytest.mark.parametrize(
    "damage",
    [b"", b"[]", b'{"version":2}', b'{"rows":[{"key":{},"digest":""}]}', b'{"more":1}', b"\xff"],
)
def test_a_damaged_record_lets_nobody_in_and_is_not_overwritten(
    damage: bytes, keys: Keys, vault: FileVault
) -> None:
    secret = keys.create("office").secret
    vault.set(records.RECORD, damage)
    for call in (lambda: keys.check(secret), keys.listed, keys.start, lambda: keys.create("new")):
        with pytest.raises(VaultUnavailable, match="not a list of keys"):
            call()
    assert vault.get(records.RECORD) == damage


def test_no_secret_is_kept_or_shown(
    keys: Keys, vault: FileVault, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = keys.create("office")
    keys.allow_plain(PLAIN, "old")
    keys.import_plain(PLAIN, "old")
    keys.start()
    keys.check(made.secret)
    keys.check(made.secret + "x")
    record = records.decode(vault.get(records.RECORD))
    shown = [repr(made), str(made), f"{made}", repr(record), repr(record.rows), caplog.text]
    shown += [repr(keys), repr(keys.listed()), repr(vars(keys._watched))]
    for broken in (lambda: keys.import_plain(PLAIN + "\n", "x"), lambda: keys.create("office")):
        with pytest.raises((RequestError, Conflict)) as caught:
            broken()
        shown.append(repr(caught.value))
    keys.revoke(made.key.id)
    keys.close()
    hidden = (made.secret, made.secret[8:], PLAIN, PLAIN[8:])
    digest = hashlib.sha256(made.secret.encode())
    for text in shown:
        assert not any(secret in text for secret in hidden)
        assert digest.hexdigest() not in text and repr(digest.digest()) not in text
    for file in tmp_path.iterdir():
        assert not any(secret.encode() in file.read_bytes() for secret in hidden)
    # Whoever created the key gets the secret, once, and it can be sent as JSON.
    assert made.secret.encode() in msgspec.json.encode(made)
