"""The settings of replies: those of one session, and the default profile behind them."""

import logging
from collections.abc import Mapping
from typing import Any, Self

import apsw
import msgspec

from appliance.store.database import Database
from appliance.store.text import check_text

log = logging.getLogger(__name__)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set; None: not set here."""

    model: str | None = None
    device: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    repeat_penalty: float | None = None
    system_prompt: str | None = None
    stop: tuple[str, ...] | None = None
    reasoning_effort: str | None = None
    """How much to think before the answer: `none`, `low` …"""
    min_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repeat_last_n: int | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: tuple[str, ...] | None = None
    top_n_sigma: float | None = None
    typical_p: float | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    samplers: tuple[str, ...] | None = None

    def over(self, others: Self) -> Self:
        """These, and where they say nothing, the others."""
        given = {name: value for name, value in _items(self) if value is not None}
        return msgspec.structs.replace(others, **given)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """With other values for the named ones; None takes a value back."""
        return msgspec.structs.replace(self, **changes)

    def check(self) -> None:
        """Raises RequestError where a text cannot be stored."""
        for name, value in _items(self):
            for text in value if isinstance(value, tuple) else [value]:
                if isinstance(text, str):
                    check_text(text, f"settings.{name}")


def _items(settings: Settings) -> list[tuple[str, Any]]:
    return [(name, getattr(settings, name)) for name in settings.__struct_fields__]


NOTHING = Settings()


def to_column(settings: Settings) -> str | None:
    """As it is stored; None for settings that say nothing."""
    given = {name: value for name, value in _items(settings) if value is not None}
    return msgspec.json.encode(given).decode() if given else None


def from_column(stored: str | None) -> Settings | None:
    """The other way."""
    return None if stored is None else msgspec.json.decode(stored, type=Settings)


def read_profile(connection: apsw.Connection) -> Settings:
    """The default profile."""
    try:
        row: Any = connection.execute("SELECT settings FROM profile").fetchone()
        return (row and from_column(row[0])) or NOTHING
    except (msgspec.MsgspecError, ValueError, TypeError) as ex:
        log.error("the default profile cannot be read, and says nothing: %s", ex)
        return NOTHING


class DefaultProfile:
    """The default profile: applies where a session has no setting. Any thread may call.

    Every method raises StoreFull or StoreError where the database does, and RequestError for text
    that cannot be stored.
    """

    def __init__(self, database: Database) -> None:
        """`database` is migrated."""
        self._database = database

    def get(self) -> Settings:
        """As it is."""
        with self._database.read() as connection:
            return read_profile(connection)

    def replace(self, settings: Settings) -> Settings:
        """Another one."""
        settings.check()
        with self._database.write() as connection:
            _write_profile(connection, settings)
        return settings

    def change(self, changes: Mapping[str, Any]) -> Settings:
        """Other values for the named fields; None takes one back.

        Two that change different fields at the same time both get what they want.
        """
        with self._database.write() as connection:
            settings = read_profile(connection).changed(changes)
            settings.check()
            _write_profile(connection, settings)
        return settings


def _write_profile(connection: apsw.Connection, settings: Settings) -> None:
    connection.execute(
        "INSERT INTO profile (number, settings) VALUES (1, ?)"
        " ON CONFLICT DO UPDATE SET settings = excluded.settings",
        (to_column(settings),),
    )
