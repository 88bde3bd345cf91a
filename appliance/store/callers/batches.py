"""Files that callers upload, and batches of requests: each only for its owner, for 30 days.

A batch has a row for each of its lines until it ends; its results become files in the transaction
in which it does. So whatever is killed, each line has one result or none.
"""

import logging
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, islice
from typing import Any, Literal

import apsw
import msgspec

from appliance.errors import Conflict, NotFound, StoreError, StoreFull
from appliance.store.database import Database

log = logging.getLogger(__name__)

KEPT_MILLISECONDS = 30 * 24 * 3600 * 1000
WINDOW_SECONDS = 24 * 3600
"""Within which a batch ends, finished or not."""
MOST_FILES = 1000
"""Of one owner; and as many batches."""
MOST_BYTES = 2 * 1024**3
"""Of all files that one owner uploaded or got."""
PIECE_BYTES = 256 * 1024
"""Of a file, in a row."""
PIECES_TOGETHER = 16
"""Of an upload, in a transaction."""
NOBODY = ""
"""The owner of a file that is not whole. What broke off stays for a while: it may go on."""
BROKEN_OFF_MILLISECONDS = 24 * 3600 * 1000

BatchStatus = Literal["failed", "in_progress", "completed", "expired", "cancelling", "cancelled"]
_OPEN = ("in_progress", "cancelling")
_RESULTS = "SELECT result FROM batch_lines WHERE batch_id = ?"
_WITHOUT_RESULT = "SELECT custom_id FROM batch_lines WHERE batch_id = ? AND ok IS NULL"


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
        self.folder = database.path.parent
        """Where its disk is."""

    def new_id(self, prefix: str) -> str:
        """An id that nobody guesses."""
        return f"{prefix}{secrets.token_hex(16)}"

    # -- files -----------------------------------------------------------------------------------

    def add_file(
        self, owner: str, name: str, purpose: str, content: Iterable[bytes], size: int
    ) -> StoredFile:
        """Keep a file; `size`: bytes of all of its content.

        Raises:
            Conflict: the owner has too many, or too much.
            StoreFull: there is no room.
        """
        # In the log of changes and in the database.
        if shutil.disk_usage(self.folder).free < 2 * size:
            raise StoreFull("There is no room on the disk for this file.")
        with self._database.write() as connection:
            _check_room(connection, owner, size)
            # Nobody's until it is whole. Others write between its pieces.
            number = _begin_file(connection, self.new_id("file-"), NOBODY)
        pieces, size = _of_size(content, PIECE_BYTES), 0
        try:
            while some := list(islice(pieces, PIECES_TOGETHER)):
                with self._database.write() as connection:
                    size += _add_pieces(connection, number, some)
            with self._database.write() as connection:
                _check_room(connection, owner, size)
                return _finish_file(connection, number, owner, name, purpose, size)
        except BaseException:
            with suppress(StoreError):
                self._database.write_freeing(
                    lambda connection: connection.execute(
                        "DELETE FROM files WHERE number = ?", (number,)
                    )
                )
            raise

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

    def content(self, owner: str, id: str) -> Iterator[bytes]:
        """What is in a file of `owner`, piece by piece; it ends early if the file is deleted.

        Raises:
            NotFound: there is none.
        """
        rows = self._rows(
            "SELECT number, content FROM files WHERE owner = ? AND id = ?", (owner, id)
        )
        if not rows:
            raise NotFound(f"there is no file {id!a}", param="file_id")
        return self._pieces(*rows[0])

    def _pieces(self, file_number: int, content: bytes) -> Iterator[bytes]:
        if content:
            yield content
        sql = (
            "SELECT number, content FROM file_pieces WHERE file_number = ? AND number > ?"
            " ORDER BY number LIMIT 1"
        )
        last = 0
        while rows := self._rows(sql, (file_number, last)):
            last, piece = rows[0]
            yield piece

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

    def add_batch(self, owner: str, state: BatchState, lines: Iterable[BatchLine]) -> BatchState:
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
                ((it.batch_id, it.number, it.custom_id, it.body.decode()) for it in lines),
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
            missing = 0

            def lines(sql: str) -> Iterator[str]:
                for (found,) in connection.execute(f"{sql} ORDER BY number", (batch_id,)):
                    yield str(found)

            def errors() -> Iterator[bytes]:
                nonlocal missing
                yield from map(str.encode, lines(f"{_RESULTS} AND NOT ok"))
                for custom_id in lines(_WITHOUT_RESULT) if left else ():
                    missing += 1
                    assert left
                    yield left(custom_id)

            good = map(str.encode, lines(f"{_RESULTS} AND ok"))
            output = self._add_results(connection, owner, f"{batch_id}_output.jsonl", good)
            error = self._add_results(connection, owner, f"{batch_id}_error.jsonl", errors())
            connection.execute("DELETE FROM batch_lines WHERE batch_id = ?", (batch_id,))
            _change(
                connection,
                state,
                status=status,
                ended_at=int(time.time()),
                output_file_id=output,
                error_file_id=error,
                failed=state.failed + missing,
            )

    def _add_results(
        self, connection: apsw.Connection, owner: str, name: str, lines: Iterator[bytes]
    ) -> str | None:
        """The id of the file of those lines; None: there is none of them."""
        first = next(lines, None)
        if first is None:
            return None
        ended = (line + b"\n" for line in chain([first], lines))
        number = _begin_file(connection, self.new_id("file-"), owner)
        size = _add_pieces(connection, number, _of_size(ended, PIECE_BYTES))
        return _finish_file(connection, number, owner, name, "batch_output", size).id

    def expire(self, age: int) -> None:
        """Remove what was kept long enough, by the time that chats age by, in milliseconds."""
        until = age - KEPT_MILLISECONDS
        due = "SELECT 1 FROM {} WHERE age IS NULL OR age <= ? LIMIT 1"
        broken = "SELECT 1 FROM files WHERE owner = ? LIMIT 1"
        if not self._rows(broken, (NOBODY,)) and not any(
            self._rows(due.format(it), (until,)) for it in ("files", "batches")
        ):
            return

        def remove(connection: apsw.Connection) -> int:
            gone = 0
            connection.execute("UPDATE files SET age = ? WHERE age IS NULL", (age,))
            connection.execute("UPDATE batches SET age = ? WHERE age IS NULL", (age,))
            connection.execute(
                "DELETE FROM files WHERE age <= ? OR (owner = ? AND age <= ?)",
                (until, NOBODY, age - BROKEN_OFF_MILLISECONDS),
            )
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


def _check_room(connection: apsw.Connection, owner: str, size: int) -> None:
    _check_count(connection, owner, "files")
    rows: Any = connection.execute(
        "SELECT ifnull(sum(iif(json_valid(state), json_extract(state, '$.bytes'), 0)), 0)"
        " FROM files WHERE owner = ?",
        (owner,),
    ).fetchall()
    if rows[0][0] + size > MOST_BYTES:
        raise Conflict(
            f"all files together would have more than {MOST_BYTES >> 30} GB; delete some"
        )


def _begin_file(connection: apsw.Connection, id: str, owner: str) -> int:
    """The number of a file without content."""
    connection.execute(
        "INSERT INTO files (id, owner, state, content) VALUES (?, ?, '', x'')", (id, owner)
    )
    return connection.last_insert_rowid()


def _add_pieces(connection: apsw.Connection, number: int, pieces: Iterable[bytes]) -> int:
    """Their bytes."""
    size = 0
    for piece in pieces:
        size += len(piece)
        connection.execute(
            "INSERT INTO file_pieces (file_number, content) VALUES (?, ?)", (number, piece)
        )
    return size


def _finish_file(
    connection: apsw.Connection, number: int, owner: str, name: str, purpose: str, size: int
) -> StoredFile:
    rows: Any = connection.execute("SELECT id FROM files WHERE number = ?", (number,)).fetchall()
    file = StoredFile(
        id=rows[0][0], name=name, purpose=purpose, bytes=size, created_at=int(time.time())
    )
    connection.execute(
        "UPDATE files SET owner = ?, state = ? WHERE number = ?",
        (owner, msgspec.json.encode(file).decode(), number),
    )
    return file


def _of_size(content: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of so many, but for the last."""
    waiting = bytearray()
    for piece in content:
        waiting += piece
        while len(waiting) >= size:
            yield bytes(waiting[:size])
            del waiting[:size]
    if waiting:
        yield bytes(waiting)


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
