"""How API keys are stored: hashes and names, never a secret.

A key that this program makes has 256 bits of chance, so one round of SHA-256 hides it; nobody can
try them out. Times are Unix milliseconds.
"""

import contextlib
import hashlib
import logging
import secrets
from typing import Literal

import msgspec

from appliance.auth.keys.scopes import SCOPES, Scope, covers
from appliance.errors import RequestError, VaultUnavailable

log = logging.getLogger(__name__)

RECORD = "keys"
"""The entry of the vault."""

SECRET_PREFIX = "apl_"  # noqa: S105 - so that people and scanners see what it is
_SHOWN = 4
_LONG_ENOUGH = 20
_MAX_NAME = 64


class Key(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An API key, as shown to callers who may manage keys."""

    id: str
    name: str
    prefix: str
    """How its secret begins, for telling keys apart; empty for a short secret."""
    scope: Scope
    rpm: int | None = None
    """Requests a minute; None: what the configuration says for all."""
    created_at: int = 0
    expires_at: int | None = None
    enabled: bool = True
    source: Literal["vault", "config"] = "vault"
    """Where it was written down."""
    last_used_at: int | None = None
    """Since this process began; None: not yet."""

    @property
    def guessable(self) -> bool:
        """Whether its secret is short enough to be guessed."""
        return not self.prefix

    def may(self, scope: Scope) -> bool:
        """Whether the key is good for what needs `scope`."""
        return covers(self.scope, scope)

    def usable(self, now: int) -> bool:
        """Whether it is enabled and has not expired."""
        return self.enabled and not self.expired(now)

    def expired(self, now: int) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and now >= self.expires_at


class NewKey(msgspec.Struct, frozen=True):
    """A key that was just made, with its secret, which cannot be shown again."""

    key: Key
    secret: str

    def __repr__(self) -> str:
        return f"NewKey(key={self.key!r}, secret=…)"


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key and the hash of its secret."""

    key: Key
    digest: bytes
    plain: bool = False
    """The secret was not made here, and may stand in a configuration."""

    def is_as_good_as(self, other: "Row") -> bool:
        """Whether what the other one let in, this one does."""
        return self.digest == other.digest and self.key.may(other.key.scope)

    def __repr__(self) -> str:
        return f"Row(key={self.key!r}, digest=…)"


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that the vault holds about keys."""

    version: Literal[1] = 1
    rows: tuple[Row, ...] = ()
    revoked: tuple[bytes, ...] = ()
    """Hashes of revoked secrets that may still stand in a configuration."""
    unreadable: tuple[bytes, ...] = ()
    """Rows that this version cannot read, kept as they are: those keys grant no access."""

    def __repr__(self) -> str:
        return f"Record({len(self.rows)} keys)"


class _Stored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1] = 1
    rows: tuple[msgspec.Raw, ...] = ()
    revoked: tuple[bytes, ...] = ()


def encode(record: Record) -> bytes:
    """What the vault holds."""
    rows = [*map(msgspec.json.encode, record.rows), *record.unreadable]
    return msgspec.json.encode(_Stored(1, tuple(map(msgspec.Raw, rows)), record.revoked))


def decode(value: bytes | None) -> Record:
    """What the vault held; an empty record if it held none.

    Raises:
        VaultUnavailable: it is damaged, or has keys and none that can be read; nothing of it is
            repeated.
    """
    if value is None:
        return Record()
    with contextlib.suppress(msgspec.DecodeError):
        stored = msgspec.json.decode(value, type=_Stored)
        rows, unreadable = [], []
        for raw in stored.rows:
            try:
                rows.append(msgspec.json.decode(raw, type=Row))
            except msgspec.DecodeError:
                unreadable.append(bytes(raw))
        if unreadable:
            log.error("%d keys cannot be read, and let nobody in", len(unreadable))
        if rows or not unreadable:
            return Record(1, tuple(rows), stored.revoked, tuple(unreadable))
    raise VaultUnavailable(
        f'The entry "{RECORD}" of the vault is not a list of keys that this version can read. It'
        " was left as it is: use the version that wrote it, or delete the entry to begin without"
        " keys."
    )


def new_secret() -> str:
    """`apl_` and 32 random bytes in Base64 for URLs."""
    return SECRET_PREFIX + secrets.token_urlsafe(32)


def digest_of(secret: str) -> bytes:
    """What is kept of a secret; any text has one."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def shown_of(secret: str) -> str:
    """The beginning that may be shown; of a short secret nothing, since little would be left."""
    if len(secret) < _LONG_ENOUGH:
        return ""
    head = len(SECRET_PREFIX) if secret.startswith(SECRET_PREFIX) else 0
    return secret[: head + _SHOWN]


def is_weak(secret: str) -> bool:
    """Whether it might be guessed."""
    return len(secret) < _LONG_ENOUGH


def check_name(name: str) -> str:
    """`name` without the blanks around it.

    Raises:
        RequestError: it is empty, longer than 64 characters, or cannot be printed.
    """
    name = name.strip()
    if not name or len(name) > _MAX_NAME or not name.isprintable():
        raise RequestError(
            f"A key's name has 1 to {_MAX_NAME} characters, all of them printable.", param="name"
        )
    return name


def check_scope(scope: str) -> Scope:
    """`scope`, if there is such a one.

    Raises:
        RequestError: there is not.
    """
    for known in SCOPES:
        if scope == known:
            return known
    raise RequestError(f"A key's scope is one of {', '.join(SCOPES)}.", param="scope")


def check_rpm(rpm: int | None) -> int | None:
    """`rpm`, if it is a limit.

    Raises:
        RequestError: it is less than 1.
    """
    if rpm is not None and rpm < 1:
        raise RequestError("A key's requests a minute are 1 or more.", param="rpm")
    return rpm
