"""Stored responses of `/v1/responses`: each only for its owner, for 30 days."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import apsw
import msgspec

from appliance.store.database import Database

log = logging.getLogger(__name__)

KEPT_MILLISECONDS = 30 * 24 * 3600 * 1000
LONGEST_CHAIN = 2000
"""Responses that later ones continue."""

_INSERT = (
    "INSERT INTO responses (owner, id, previous_id, input, response, plan, log)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO"
)
_SELECT = "SELECT owner, id, previous_id, input, response, plan, log FROM responses"
_DUE = "SELECT 1 FROM responses WHERE age IS NULL OR age <= ? LIMIT 1"


_PIECES = (
    "SELECT log FROM response_pieces"
    " WHERE response_number = (SELECT number FROM responses WHERE id = ?) ORDER BY number"
)
_REMOVE_PIECES = (
    "DELETE FROM response_pieces"
    " WHERE response_number = (SELECT number FROM responses WHERE id = ?)"
)


class LogPiece(msgspec.Struct, frozen=True):
    """What is new of a growing response."""

    log: bytes
    whole: bool
    """It is all that there is, in place of what was stored; else it comes behind that."""


class StoredResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response, and what it answered. SQL never looks into the JSON."""

    id: str
    previous_id: str | None
    input: bytes
    """JSON: the items that came with the request."""
    response: bytes
    """JSON: the whole object."""
    plan: bytes | None = None
    """What it takes to go on with it; None: it has ended."""
    log: bytes | None = None
    """What the model wrote, as far as that is kept."""
    log_pieces: tuple[bytes, ...] = ()
    """What was added to it, of one that is under way."""


class OwnedResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A response, and whose it is."""

    owner: str
    stored: StoredResponse


class ResponseBook:
    """All stored responses. Any thread may call. Raises StoreFull or StoreError where the database
    does."""

    def __init__(self, database: Database) -> None:
        """`database` is migrated."""
        self._database = database

    def begin(self, owner: str, stored: StoredResponse) -> None:
        """Keep a response that is under way; one that is kept already stays as it is."""
        with self._database.write() as connection:
            connection.execute(f"{_INSERT} NOTHING", _row(owner, stored))

    def keep(self, owner: str, stored: StoredResponse) -> None:
        """Keep a response for `owner`, a key's id or an address, or what has become of it."""
        with self._database.write() as connection:
            connection.execute(
                f"{_INSERT} UPDATE SET"
                " response = excluded.response, plan = excluded.plan, log = excluded.log",
                _row(owner, stored),
            )
            connection.execute(_REMOVE_PIECES, (stored.id,))

    def grow(self, grown: Mapping[str, LogPiece]) -> None:
        """What was written by now of responses that are under way, by their ids, in one
        transaction; one that was deleted is passed over."""
        with self._database.write() as connection:
            for id, piece in grown.items():
                if piece.whole:
                    connection.execute(
                        "UPDATE responses SET log = ? WHERE id = ? AND plan IS NOT NULL",
                        (piece.log, id),
                    )
                    connection.execute(_REMOVE_PIECES, (id,))
                else:
                    connection.execute(
                        "INSERT INTO response_pieces (response_number, log)"
                        " SELECT number, ? FROM responses WHERE id = ? AND plan IS NOT NULL",
                        (piece.log, id),
                    )

    def under_way(self) -> Sequence[OwnedResponse]:
        """Those that had not ended when the appliance did, the oldest first."""
        with self._database.read() as connection:
            rows: Any = connection.execute(
                f"{_SELECT} WHERE plan IS NOT NULL ORDER BY number"
            ).fetchall()
            pieces: Any = [connection.execute(_PIECES, (row[1],)).fetchall() for row in rows]
        return [
            OwnedResponse(owner=row[0], stored=_stored(row, [log for (log,) in more]))
            for row, more in zip(rows, pieces, strict=True)
        ]

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


def _row(owner: str, stored: StoredResponse) -> tuple[object, ...]:
    return (
        *(owner, stored.id, stored.previous_id),
        *(stored.input.decode(), stored.response.decode(), stored.plan, stored.log),
    )


def _stored(row: Sequence[Any], pieces: Sequence[bytes] = ()) -> StoredResponse:
    _, id, previous, given, response, plan, log = row
    return StoredResponse(
        id=id,
        previous_id=previous,
        input=given.encode(),
        response=response.encode(),
        plan=plan,
        log=log,
        log_pieces=tuple(pieces),
    )


def _find(connection: apsw.Connection, owner: str, id: str) -> StoredResponse | None:
    rows: Any = connection.execute(f"{_SELECT} WHERE owner = ? AND id = ?", (owner, id)).fetchall()
    return _stored(rows[0]) if rows else None
