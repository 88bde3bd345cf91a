"""Names with settings of their own for models that are here: made by callers, for everybody."""

import logging
import time
from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from appliance.errors import Conflict
from appliance.store.database import Database

log = logging.getLogger(__name__)

MOST = 1000


class DerivedMessage(msgspec.Struct, frozen=True):
    """A message that every chat begins with."""

    role: str
    content: str


class DerivedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model under another name."""

    name: str
    base: str
    """The id of the model that computes it."""
    system: str = ""
    options: dict[str, Any] = {}
    """As Ollama's requests have them; those of a request come first."""
    messages: list[DerivedMessage] = []
    licence: str = ""
    created_at: float = 0.0
    """Unix seconds."""


class DerivedModels:
    """All of them. Any thread may call. Raises StoreFull or StoreError where the database does."""

    def __init__(self, database: Database) -> None:
        """`database` is migrated."""
        self._database = database

    def all(self) -> Sequence[DerivedModel]:
        """The newest first."""
        found = map(_read, self._rows("SELECT state FROM derived_models", ()))
        return sorted(filter(None, found), key=lambda it: it.created_at, reverse=True)

    def find(self, key: str) -> DerivedModel | None:
        """The one that was kept as `key`."""
        rows = self._rows("SELECT state FROM derived_models WHERE name = ?", (key,))
        return _read(rows[0]) if rows else None

    def put(self, key: str, model: DerivedModel) -> None:
        """Keep a model, in place of the one that was kept as `key`.

        Raises:
            Conflict: there are too many.
        """
        made = msgspec.structs.replace(model, created_at=time.time())
        with self._database.write() as connection:
            rows: Any = connection.execute(
                "SELECT count(*) FROM derived_models WHERE name <> ?", (key,)
            ).fetchall()
            if rows[0][0] >= MOST:
                raise Conflict(f"there are {MOST} models of this kind already; delete some")
            connection.execute(
                "INSERT INTO derived_models (name, number, state) VALUES (?, 0, ?)"
                " ON CONFLICT DO UPDATE SET state = excluded.state",
                (key, msgspec.json.encode(made).decode()),
            )

    def remove(self, key: str) -> bool:
        """Whether there was one."""

        def remove(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM derived_models WHERE name = ?", (key,))
            return connection.changes() > 0

        return self._database.write_freeing(remove)

    def _rows(self, sql: str, values: tuple[str, ...]) -> list[Any]:
        with self._database.read() as connection:
            return connection.execute(sql, values).fetchall()


def _read(row: Any) -> DerivedModel | None:
    try:
        return msgspec.json.decode(row[0], type=DerivedModel)
    except (msgspec.MsgspecError, ValueError, TypeError) as ex:
        log.error("a model that was made of another cannot be read, and is left out: %s", ex)
        return None
