"""Attachments in the pages of a damaged database, as far as `salvage` finds them whole."""

import re
from typing import Any

import apsw

from appliance.store.copies.page_reader import PageRecord

ID = "att-"
"""What the ids of attachments begin with."""
_HASH = re.compile(r"[0-9a-f]{64}")


class SalvagedFiles:
    """Rows of the tables of attachments, by their numbers."""

    def __init__(self) -> None:
        self._files: dict[int, tuple[Any, ...]] = {}
        self._chunks: dict[int, tuple[Any, ...]] = {}
        self._texts: dict[int, tuple[Any, ...]] = {}
        self._attachments: dict[int, tuple[Any, ...]] = {}

    def take(self, record: PageRecord) -> bool:
        """Whether it is a row of one of the tables."""
        number, values = record.rowid, record.values
        if number is None or not values or values[0] is not None or record.damaged:
            return False
        row = (number, *values[1:])
        match values[1:]:
            case [str(), str(digest), int(), str(), _, int()] if _HASH.fullmatch(digest):
                self._files[number] = row
            case [int(), bytes()]:
                self._chunks[number] = row
            case [int(), str()]:
                self._texts[number] = row
            case [str(id), str(), int(), str() | None, _, _, str()] if id.startswith(ID):
                self._attachments[number] = row
            case _:
                return False
        return True

    def write(self, connection: apsw.Connection) -> None:
        """Those of messages that are there, with a file that is whole."""
        sizes: dict[int, int] = {}
        for _, file, content in self._chunks.values():
            sizes[file] = sizes.get(file, 0) + len(content)
        lengths: dict[int, int] = {}
        for _, file, text in self._texts.values():
            lengths[file] = lengths.get(file, 0) + len(text)
        whole = {
            number
            for number, (_, _, _, size, _, _, characters) in self._files.items()
            if sizes.get(number) == size and 0 < lengths.get(number, 0) <= characters
        }
        there: set[Any] = {id for (id,) in connection.execute("SELECT id FROM messages")}
        sent = [it for it in self._attachments.values() if it[3] in whole and it[4] in there]
        used = {it[3] for it in sent}
        for table, rows in (
            ("attached_files", [self._files[number] for number in used]),
            ("attached_chunks", [it for it in self._chunks.values() if it[1] in used]),
            ("attached_texts", [it for it in self._texts.values() if it[1] in used]),
            ("attachments", sent),
        ):
            for row in sorted(rows):
                marks = ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT OR IGNORE INTO {table} VALUES ({marks})",  # noqa: S608 - our own names
                    row,
                )
