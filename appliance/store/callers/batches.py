"""Files that callers upload, and batches of requests: each only for its owner, for 30 days.

A batch has a row for each of its lines until it ends; its results become files in the transaction
in which it does. So whatever is killed, each line has one result or none.
"""

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

import apsw
import msgspec

from appliance.errors import Conflict, NotFound
from appliance.store.database import Database

log = logging.getLogger(__name__)

KEPT_MILLISECONDS = 30 * 24 * 3600 * 1000
WINDOW_SECONDS = 24 * 3600
"""Within which a batch ends, finished or not."""
MOST_FILES = 1000
"""Of one owner; and as many batches."""

BatchStatus = Literal["failed", "in_progress", "completed", "expired", "cancelling", "cancelled"]
_OPEN = ("in_progress", "cancelling")


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file, without its content."""

    id: str
    name: str
    purpose: str
    bytes: int
    created_at: int
    """Unix seconds, as all times here."""


class BatchState(msgspec.Struct, frozen=True, kw_only=True):
    """A batch, without its lines."""

    id: str
    endpoint: str
    input_file_id: str
    status: BatchStatus
    created_at: int
    ended_at: int | None = None
    cancelling_at: int | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    model: str | None = None
    metadata: dict[str, str] = {}
    errors: list[dict[str, Any]] = []
    """What is wrong with its file."""
    caller: dict[str, Any] = {}
    """Who requested it, as the API knows them."""
    total: int = 0
    completed: int = 0
    failed: int = 0


class BatchLine(msgspec.Struct, frozen=True, kw_only=True):
    """A request of a batch."""

    batch_id: str
    number: int
    custom_id: str
    body: bytes
    """JSON."""


class BatchBook:
    """All files and batches. Any thread may call. Raises StoreFull or StoreError where the database
    does."""

    def __init__(self, database: Database) -> None:
        """`database` is migrated."""
        self._database = database

    def new_id(self, prefix: str) -> str:
        """An id that nobody guesses."""
        return f"{prefix}{secrets.token_hex(16)}"

    # -- files -----------------------------------------------------------------------------------

    def add_file(self, owner: str, name: str, purpose: str, content: bytes) -> StoredFile:
        """Keep a file.

        Raises:
            Conflict: the owner has too many.
        """
        with self._database.write() as connection:
            _check_count(connection, owner, "files")
            return self._add_file(connection, owner, name, purpose, content)

    def _add_file(
        self, connection: apsw.Connection, owner: str, name: str, purpose: str, content: bytes
    ) -> StoredFile:
        file = StoredFile(
            id=self.new_id("file-"),
            name=name,
            purpose=purpose,
            bytes=len(content),
            created_at=int(time.time()),
        )
        connection.execute(
            "INSERT INTO files (id, owner, state, content) VALUES (?, ?, ?, ?)",
            (file.id, owner, msgspec.json.encode(file).decode(), content),
        )
        return file

    def files(self, owner: str) -> Sequence[StoredFile]:
        """All files of `owner`, the newest first."""
        sql = "SELECT state FROM files WHERE owner = ? ORDER BY number DESC"
        return [_file(row) for (row,) in self._rows(sql, (owner,))]

    def file(self, owner: str, id: str) -> StoredFile:
        """A file of `owner`.

        Raises:
            NotFound: there is none.
        """
        rows = self._rows("SELECT state FROM files WHERE owner = ? AND id = ?", (owner, id))
        if not rows:
            raise NotFound(f"there is no file {id!a}", param="file_id")
        return _file(rows[0][0])

    def content(self, owner: str, id: str) -> bytes:
        """What is in a file of `owner`.

        Raises:
            NotFound: there is none.
        """
        rows = self._rows("SELECT content FROM files WHERE owner = ? AND id = ?", (owner, id))
        if not rows:
            raise NotFound(f"there is no file {id!a}", param="file_id")
        found: bytes = rows[0][0]
        return found

    def delete_file(self, owner: str, id: str) -> None:
        """Remove a file of `owner` for good. Batches that began with it go on.

        Raises:
            NotFound: there is none.
        """

        def remove(connection: apsw.Connection) -> bool:
            connection.execute("DELETE FROM files WHERE owner = ? AND id = ?", (owner, id))
            return connection.changes() > 0

        if not self._database.write_freeing(remove):
            raise NotFound(f"there is no file {id!a}", param="file_id")
        self._database.give_back_pages()

    # -- batches ---------------------------------------------------------------------------------

    def add_batch(self, owner: str, state: BatchState, lines: Sequence[BatchLine]) -> BatchState:
        """Keep a batch and its lines.

        Raises:
            Conflict: the owner has too many.
        """
        with self._database.write() as connection:
            _check_count(connection, owner, "batches")
            connection.execute(
                "INSERT INTO batches (id, owner, status, state) VALUES (?, ?, ?, ?)",
                (state.id, owner, state.status, msgspec.json.encode(state).decode()),
            )
            connection.executemany(
                "INSERT INTO batch_lines (batch_id, number, custom_id, body) VALUES (?, ?, ?, ?)",
                [(it.batch_id, it.number, it.custom_id, it.body.decode()) for it in lines],
            )
        return state

    def batches(self, owner: str) -> Sequence[BatchState]:
        """All batches of `owner`, the newest first."""
        sql = "SELECT state FROM batches WHERE owner = ? ORDER BY number DESC"
        return [_batch(row) for (row,) in self._rows(sql, (owner,))]

    def batch(self, owner: str, id: str) -> BatchState:
        """A batch of `owner`.

        Raises:
            NotFound: there is none.
        """
        rows = self._rows("SELECT state FROM batches WHERE owner = ? AND id = ?", (owner, id))
        if not rows:
            raise NotFound(f"there is no batch {id!a}", param="batch_id")
        return _batch(rows[0][0])

    def cancel(self, owner: str, id: str) -> BatchState:
        """No further line of a batch is begun.

        Raises:
            NotFound: there is none.
            Conflict: it has ended.
        """
        with self._database.write() as connection:
            state = _find(connection, id, owner)
            if state is None:
                raise NotFound(f"there is no batch {id!a}", param="batch_id")
            if state.status not in _OPEN:
                raise Conflict(f"the batch is {state.status} already", param="batch_id")
            now = int(time.time())
            return _change(connection, state, status="cancelling", cancelling_at=now)

    # -- the runner's side -----------------------------------------------------------------------

    def open_batches(self) -> Sequence[BatchState]:
        """Those that have not ended, the oldest first."""
        sql = "SELECT state FROM batches WHERE status IN ('in_progress', 'cancelling')"
        return [_batch(row) for (row,) in self._rows(f"{sql} ORDER BY number", ())]

    def next_line(self, batch_id: str, passed_over: Sequence[int]) -> BatchLine | None:
        """The first line of a batch without a result, but for those; None: there is none."""
        sql = (
            "SELECT number, custom_id, body FROM batch_lines"
            " WHERE batch_id = ? AND result IS NULL ORDER BY number LIMIT ?"
        )
        for number, custom_id, body in self._rows(sql, (batch_id, len(passed_over) + 1)):
            if number not in passed_over:
                return BatchLine(
                    batch_id=batch_id, number=number, custom_id=custom_id, body=body.encode()
                )
        return None

    def finish_line(self, line: BatchLine, result: bytes, *, ok: bool) -> None:
        """Keep the result of a line; one that has a result keeps that."""
        with self._database.write() as connection:
            connection.execute(
                "UPDATE batch_lines SET result = ?, ok = ?"
                " WHERE batch_id = ? AND number = ? AND result IS NULL",
                (result.decode(), ok, line.batch_id, line.number),
            )
            state = _find(connection, line.batch_id)
            if connection.changes() and state:
                _change(
                    connection,
                    state,
                    completed=state.completed + ok,
                    failed=state.failed + (not ok),
                )

    def end(
        self, batch_id: str, status: BatchStatus, left: Callable[[str], bytes] | None = None
    ) -> None:
        """A batch ends: its results become files. `left`: what stands in the file of errors for a
        line that has none, by its custom id."""
        with self._database.write() as connection:
            state = _find(connection, batch_id)
            if state is None:
                return
            rows: Any = connection.execute(
                "SELECT owner FROM batches WHERE id = ?", (batch_id,)
            ).fetchall()
            owner = rows[0][0]
            lines: Any = connection.execute(
                "SELECT custom_id, ok, result FROM batch_lines WHERE batch_id = ? ORDER BY number",
                (batch_id,),
            ).fetchall()
            good = [result.encode() for _, ok, result in lines if ok]
            bad = [result.encode() for _, ok, result in lines if result is not None and not ok]
            failed = state.failed
            if left:
                missing = [left(custom_id) for custom_id, _, result in lines if result is None]
                bad += missing
                failed += len(missing)
            ids = []
            for kind, found in (("output", good), ("error", bad)):
                content = b"".join(line + b"\n" for line in found)
                name = f"{batch_id}_{kind}.jsonl"
                file = (
                    self._add_file(connection, owner, name, "batch_output", content)
                    if found
                    else None
                )
                ids.append(file.id if file else None)
            connection.execute("DELETE FROM batch_lines WHERE batch_id = ?", (batch_id,))
            _change(
                connection,
                state,
                status=status,
                ended_at=int(time.time()),
                output_file_id=ids[0],
                error_file_id=ids[1],
                failed=failed,
            )

    def expire(self, age: int) -> None:
        """Remove what was kept long enough, by the time that chats age by, in milliseconds."""
        until = age - KEPT_MILLISECONDS
        due = "SELECT 1 FROM {} WHERE age IS NULL OR age <= ? LIMIT 1"
        if not any(self._rows(due.format(it), (until,)) for it in ("files", "batches")):
            return

        def remove(connection: apsw.Connection) -> int:
            gone = 0
            connection.execute("UPDATE files SET age = ? WHERE age IS NULL", (age,))
            connection.execute("UPDATE batches SET age = ? WHERE age IS NULL", (age,))
            connection.execute("DELETE FROM files WHERE age <= ?", (until,))
            gone += connection.changes()
            connection.execute(
                "DELETE FROM batch_lines WHERE batch_id IN (SELECT id FROM batches WHERE age <= ?)",
                (until,),
            )
            connection.execute("DELETE FROM batches WHERE age <= ?", (until,))
            return gone + connection.changes()

        if gone := self._database.write_freeing(remove):
            self._database.give_back_pages()
            log.info("%d files and batches were kept for 30 days and are gone", gone)

    def _rows(self, sql: str, values: tuple[Any, ...]) -> list[Any]:
        with self._database.read() as connection:
            return connection.execute(sql, values).fetchall()


def _check_count(
    connection: apsw.Connection, owner: str, what: Literal["files", "batches"]
) -> None:
    sql = {
        "files": "SELECT count(*) FROM files WHERE owner = ?",
        "batches": "SELECT count(*) FROM batches WHERE owner = ?",
    }
    count: Any = connection.execute(sql[what], (owner,)).fetchall()
    if count[0][0] >= MOST_FILES:
        raise Conflict(f"there are {MOST_FILES} {what} already; delete some, or wait")


def _file(row: str) -> StoredFile:
    return msgspec.json.decode(row, type=StoredFile)


def _batch(row: str) -> BatchState:
    return msgspec.json.decode(row, type=BatchState)


def _find(connection: apsw.Connection, id: str, owner: str | None = None) -> BatchState | None:
    rows: Any = connection.execute(
        "SELECT state FROM batches WHERE id = ? AND owner = ifnull(?, owner)", (id, owner)
    ).fetchall()
    return _batch(rows[0][0]) if rows else None


def _change(connection: apsw.Connection, state: BatchState, **fields: Any) -> BatchState:
    changed = msgspec.structs.replace(state, **fields)
    connection.execute(
        "UPDATE batches SET status = ?, state = ? WHERE id = ?",
        (changed.status, msgspec.json.encode(changed).decode(), changed.id),
    )
    return changed
