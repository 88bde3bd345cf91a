"""Rows of a damaged database: what of them can still be read.

A row is read as it is wherever that works. If it has bytes that are no text, all texts are read as
bytes; if a page is damaged, rows are read one by one, and those that cannot be are left out.
"""

import logging
from collections.abc import Sequence
from typing import Any

import apsw

log = logging.getLogger(__name__)


def all_rows(
    connection: apsw.Connection,
    sql: str,
    columns: Sequence[str],
    values: tuple[str, ...] = (),
    order: str = "",
    one_by_one: tuple[str, str] | None = None,
) -> list[Any]:
    """The rows of a query.

    Args:
        connection: for reading.
        sql: the query, with `{columns}` where they belong.
        columns: what is read.
        values: of the query.
        order: what follows it.
        one_by_one: if a page is damaged: a query, with the same values, for the numbers of the
            rows, and the column of these numbers.

    Raises:
        apsw.Error: it failed, or nothing of it can be read.
    """
    plain = sql.replace("{columns}", ", ".join(columns))
    try:
        return connection.execute(plain + order, values).fetchall()
    except UnicodeDecodeError:
        plain = sql.replace("{columns}", ", ".join(map(_undecoded, columns)))
        return connection.execute(plain + order, values).fetchall()
    except apsw.CorruptError:
        if one_by_one is None:
            raise
    query, number = one_by_one
    numbers: list[Any] = connection.execute(query, values).fetchall()
    rows = []
    one = f"{sql} AND {number} = ?"
    for (which,) in numbers:
        try:
            rows += all_rows(connection, one, columns, (*values, which))
        except apsw.CorruptError:
            continue
    if numbers and not rows:
        raise apsw.CorruptError("no row can be read")
    log.error(
        "%d of %d rows cannot be read and are left out", len(numbers) - len(rows), len(numbers)
    )
    return rows


def as_text(value: object, bad: list[str]) -> str | None:
    """A text; of another value, or of bytes that are none, what comes closest, and an entry in
    `bad`."""
    if value is None or isinstance(value, str):
        return value
    if not isinstance(value, bytes):
        bad.append("type")
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        bad.append("text")
        return value.decode(errors="replace")


def as_integer(value: object, bad: list[str]) -> int:
    """A number; 0 instead of another value, and an entry in `bad`."""
    if isinstance(value, int):
        return value
    bad.append("type")
    return 0


def _undecoded(column: str) -> str:
    """Texts as bytes, all else as it is."""
    return f"CASE typeof({column}) WHEN 'text' THEN CAST({column} AS BLOB) ELSE {column} END"
