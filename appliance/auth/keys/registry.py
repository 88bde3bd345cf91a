"""API keys: created, verified and revoked, also by another process while this one runs.

`check` may be called from any thread for every request: it compares hashes in memory. Only hashes
are ever stored, and nothing here can give a secret a second time.
"""

import hmac
import logging
import re
import secrets
import time
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from appliance.auth.keys import records
from appliance.auth.keys.records import Key, NewKey, Record, Row
from appliance.auth.keys.watcher import WatchedRecord
from appliance.auth.vault.vault import Vault
from appliance.errors import Conflict, NotFound, RequestError, VaultUnavailable

log = logging.getLogger(__name__)

MAX_KEYS = 1000
"""A check compares with each."""

_CREDENTIAL = re.compile(r"(chat|manage|admin)-key\.(.+)")


def _unix_milliseconds() -> int:
    return time.time_ns() // 1_000_000


class Keys:
    """The keys of one vault, and those that stand in the configuration. Safe from any thread."""

    def __init__(self, vault: Vault, *, clock: Callable[[], int] = _unix_milliseconds) -> None:
        """Reads nothing yet. `clock` gives Unix milliseconds."""
        self._vault = vault
        self._clock = clock
        self._watched = WatchedRecord(vault, clock)
        self._used: dict[str, int] = {}

    def start(self, *, must_read: bool = True) -> None:
        """Reads the vault and begins to watch it, which `on_revoke` needs, until `close`.

        Args:
            must_read: False: a vault that cannot be read yet makes `check` raise until it can.

        Raises:
            VaultUnavailable: it cannot be read; nothing was started.
        """
        self._watched.start(must_read=must_read)

    def close(self) -> None:
        """Stops watching; may be called again."""
        self._watched.close()

    def on_revoke(self, callback: Callable[[str], None]) -> None:
        """Has `callback` called with the id of every key that stops being valid.

        The key was revoked, was disabled or expired less than a second ago, in any process. It is
        called on the thread that noticed and must not take long.
        """
        self._watched.listen(callback)

    # -- asking ------------------------------------------------------------------------------------

    def check(self, secret: str) -> Key | None:
        """The key of this secret; None if there is none, or it is disabled or has expired.

        Compares with every key, in a time that does not depend on what fits.

        Raises:
            VaultUnavailable: none that is known, and the vault cannot be read.
        """
        rows, trouble = self._watched.known()
        digest = records.digest_of(secret)
        found = None
        for row in rows:
            if hmac.compare_digest(row.digest, digest):
                found = row
        if found is None and trouble:
            raise VaultUnavailable(trouble)
        now = self._clock()
        if found is None or not self._watched.usable(found, now):
            return None
        self._used[found.key.id] = now
        return found.key

    def usable(self, key_id: str) -> Key | None:
        """The key with that id, as it is now; None if it is not good, or not any more."""
        now = self._clock()
        rows, _ = self._watched.known()
        found = (row for row in rows if row.key.id == key_id and self._watched.usable(row, now))
        return next((row.key for row in found), None)

    def binding(self, key_id: str) -> str | None:
        """What a login with this key is bound to, another one once the key has another secret, as
        a configuration can give it; None if there is no such key."""
        rows, _ = self._watched.known()
        row = next((row for row in rows if row.key.id == key_id), None)
        return records.digest_of(row.digest.hex()).hex() if row else None

    def any_usable(self) -> bool:
        """Whether anybody could come in.

        Raises:
            VaultUnavailable: nobody of the configuration, and the vault cannot be read.
        """
        now = self._clock()
        rows, trouble = self._watched.known()
        found = any(self._watched.usable(row, now) for row in rows)
        if not found and trouble:
            raise VaultUnavailable(trouble)
        return found

    def listed(self) -> list[Key]:
        """Every key that was not revoked, oldest first, also disabled and expired ones.

        Raises:
            VaultUnavailable: as `check`.
        """
        rows = self._watched.rows()
        keys = [replace(row.key, last_used_at=self._used.get(row.key.id)) for row in rows]
        return sorted(keys, key=lambda key: (key.created_at, key.name))

    # -- changing ----------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        scope: str = "chat",
        *,
        rpm: int | None = None,
        expires_at: int | None = None,
    ) -> NewKey:
        """Makes a key; only what this returns ever has its secret.

        Args:
            name: not in use yet, 1 to 64 characters.
            scope: `chat`, `manage` or `admin`.
            rpm: requests a minute; None: what the configuration says for all.
            expires_at: Unix milliseconds; None: never.

        Raises:
            RequestError: an argument is wrong.
            Conflict: the name is taken, there are too many keys, or the vault is read-only.
            VaultUnavailable: the vault cannot be changed.
        """
        secret = records.new_secret()
        key = self._new(name, scope, rpm, expires_at, secret)
        self._add(Row(key, records.digest_of(secret)))
        return NewKey(key, secret)

    def import_plain(
        self,
        secret: str,
        name: str,
        scope: str = "chat",
        *,
        rpm: int | None = None,
        enabled: bool = True,
    ) -> Key:
        """Keeps the hash of a key that exists; one that the vault has already stays as it is.

        Raises as `create` does.
        """
        key = self._new(name, scope, rpm, None, _checked(secret))
        key = replace(key, enabled=enabled)
        return self._add(Row(key, records.digest_of(secret), plain=True), known_is_fine=True)

    def allow_plain(
        self,
        secret: str,
        name: str,
        scope: str = "chat",
        *,
        rpm: int | None = None,
        enabled: bool = True,
    ) -> Key:
        """Lets a key of the configuration count while this process runs; nothing is stored.

        The vault has the last word on a key that it has too, or that was revoked.

        Raises:
            RequestError: an argument is wrong.
            Conflict: another key of the configuration has the name.
        """
        key = self._new(name, scope, rpm, None, _checked(secret))
        # The same after every start, and nothing that the secret could be guessed from.
        key_id = f"cfg_{records.digest_of(key.name).hex()[:16]}"
        key = replace(key, id=key_id, created_at=0, enabled=enabled, source="config")
        if any(row.key.id == key_id for row in self._watched.plain()):
            raise Conflict(f"Two keys of the configuration are called {key.name}.", param="name")
        if records.is_weak(secret):
            log.warning("the key %s is so short that it could be guessed", key.name)
        self._watched.add_plain(Row(key, records.digest_of(secret), plain=True))
        return key

    def allow_credentials(self) -> list[Key]:
        """Lets the entries of the vault count that are a key as plain text, as `allow_plain` does.

        They are called `chat-key.NAME`, `manage-key.NAME` and `admin-key.NAME`, which is how a
        service manager gives keys to a vault that cannot be written.

        Raises:
            VaultUnavailable: the vault cannot be read, or an entry is not text.
            RequestError, Conflict: as `allow_plain`.
        """
        allowed = []
        for entry in self._vault.names():
            if found := _CREDENTIAL.fullmatch(entry):
                secret = _text(self._vault.get(entry), entry)
                allowed.append(self.allow_plain(secret, found[2], found[1]))
        return allowed

    def revoke(self, key_id: str) -> None:
        """Ends a key for good; listeners are called before this returns.

        A key of the configuration is refused from then on, although it still stands there.

        Raises:
            NotFound: there is no such key.
            Conflict, VaultUnavailable: as `create`.
        """

        def edit(record: Record) -> Record:
            row = _find((*record.rows, *self._watched.plain()), key_id)
            rows = tuple(other for other in record.rows if other.digest != row.digest)
            revoked = record.revoked
            if row.plain and row.digest not in revoked:
                revoked = (*revoked, row.digest)
            return msgspec.structs.replace(record, rows=rows, revoked=revoked)

        self._watched.change(edit)

    # -- inside ------------------------------------------------------------------------------------

    def _new(
        self, name: str, scope: str, rpm: int | None, expires_at: int | None, secret: str
    ) -> Key:
        now = self._clock()
        if expires_at is not None and expires_at <= now:
            raise RequestError("A key expires in the future.", param="expires_at")
        return Key(
            id=f"key_{secrets.token_hex(8)}",
            name=records.check_name(name),
            prefix=records.shown_of(secret),
            scope=records.check_scope(scope),
            rpm=records.check_rpm(rpm),
            created_at=now,
            expires_at=expires_at,
        )

    def _add(self, row: Row, *, known_is_fine: bool = False) -> Key:
        added = row.key

        def edit(record: Record) -> Record:
            nonlocal added
            known = next((other for other in record.rows if other.digest == row.digest), None)
            if known is not None and known_is_fine:
                added = known.key
                return record
            if row.digest in record.revoked:
                raise Conflict("This key was revoked. Make another one.")
            if len(record.rows) >= MAX_KEYS:
                raise Conflict(f"There are {MAX_KEYS} keys, and cannot be more. Revoke one.")
            _check_free(record, row.key)
            return replace(record, rows=(*record.rows, row))

        self._watched.change(edit)
        return added


def _find(rows: tuple[Row, ...], key_id: str) -> Row:
    for row in rows:
        if row.key.id == key_id:
            return row
    raise NotFound("There is no key with that id.")


def _check_free(record: Record, key: Key) -> None:
    if any(row.key.name == key.name and row.key.id != key.id for row in record.rows):
        raise Conflict(f"Another key is called {key.name}.", param="name")


def _checked(secret: str) -> str:
    if not secret or secret != secret.strip() or not secret.isprintable() or not secret.isascii():
        raise RequestError(
            "A key has printable ASCII characters only, and no blank at either end.", param="key"
        )
    return secret


def _text(value: bytes | None, entry: str) -> str:
    try:
        return (value or b"").decode("ascii").strip()
    except UnicodeDecodeError:
        pass
    raise VaultUnavailable(f"The credential {entry} is not a key: it is not plain text.")
