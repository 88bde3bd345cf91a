"""Stored responses of `/v1/responses`: each only for its owner, for 30 days."""

import logging
from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from appliance.store.database import Database

log = logging.getLogger(__name__)

KEPT_MILLISECONDS = 30 * 24 * 3600 * 1000
LONGEST_CHAIN = 2000
"""Responses that one can go on from, one after the other."""

_DUE = "SELECT 1 FROM responses WHERE age IS NULL OR age <= ? LIMIT 1"


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response, and what it answered. SQL never looks into the JSON."""

    id: str
    previous_id: str | None
    input: bytes
    """JSON: the items that came with the request."""
    response: bytes
    """JSON: the whole object."""


class ResponseBook:
    """All stored responses. Any thread may call. Raises StoreFull or StoreError where the database
    does."""

    def __init__(self, database: Database) -> None:
        """`database` is migrated."""
        self._database = database

    def keep(self, owner: str, stored: StoredResponse) -> None:
        """Keep a response for `owner`, a key's id or an address, or what has become of it."""
        with self._database.write() as connection:
            connection.execute(
                "INSERT INTO responses (id, owner, previous_id, input, response)"
                " VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET response = excluded.response",
                (
                    stored.id,
                    owner,
                    stored.previous_id,
                    stored.input.decode(),
                    stored.response.decode(),
                ),
            )

    def find(self, owner: str, id: str) -> StoredResponse | None:
        """A response of `owner`; None: there is none."""
        with self._database.read() as connection:
            return _find(connection, owner, id)

    def chain(self, owner: str, id: str) -> Sequence[StoredResponse] | None:
        """A response and those before it, the oldest first; None: one of them is not there."""
        found: list[StoredResponse] = []
        wanted: str | None = id
        with self._database.read() as connection:
            while wanted is not None and len(found) < LONGEST_CHAIN:
                one = _find(connection, owner, wanted)
                if one is None:
                    return None
                found.append(one)
                wanted = one.previous_id
        return found[::-1]

    def delete(self, owner: str, id: str) -> bool:
        """Remove a response of `owner` for good; whether it was there.

        Nothing of it is left in the files.
        """

        def remove(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM responses WHERE owner = ? AND id = ?", (owner, id))
            return connection.changes() > 0

        found = self._database.write_freeing(remove)
        if found:
            self._database.give_back_pages()
        return found

    def expire(self, age: int) -> None:
        """Remove what was kept long enough, by the time that chats age by, in milliseconds."""
        until = age - KEPT_MILLISECONDS
        with self._database.read() as connection:
            if not connection.execute(_DUE, (until,)).fetchall():
                return

        def remove(connection: apsw.Connection) -> int:
            connection.execute("UPDATE responses SET age = ? WHERE age IS NULL", (age,))
            connection.execute("DELETE FROM responses WHERE age <= ?", (until,))
            return connection.changes()

        if gone := self._database.write_freeing(remove):
            self._database.give_back_pages()
            log.info("%d stored responses were kept for 30 days and are gone", gone)


def _find(connection: apsw.Connection, owner: str, id: str) -> StoredResponse | None:
    rows: Any = connection.execute(
        "SELECT id, previous_id, input, response FROM responses WHERE owner = ? AND id = ?",
        (owner, id),
    ).fetchall()
    for found, previous, given, response in rows:
        return StoredResponse(
            id=found, previous_id=previous, input=given.encode(), response=response.encode()
        )
    return None
