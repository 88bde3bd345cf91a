"""The records in the pages of a SQLite file, without SQLite, which gives up at the first damage.

The format is described at sqlite.org/fileformat2.html. Each leaf page is read by itself, so that
damage elsewhere, in the schema or in the pages that lead here, takes nothing away.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

Value = int | float | str | bytes | None
_HEADER = b"SQLite format 3\0"
_SIZES = {512 << shift for shift in range(8)}
_TABLE_LEAF, _INDEX_LEAF = 0x0D, 0x0A
_WAL_HEADER, _FRAME_HEADER = 32, 24
MOST_BYTES = 1 << 30
"""Maximum size of one record; a longer one is damaged."""
MOST_COLUMNS = 2000


class PageRecord(NamedTuple):
    """A row of a table, or an entry of an index."""

    rowid: int | None
    """None: of an index."""
    values: tuple[Value, ...]
    damaged: bool
    """A text has bytes that are none: they are replaced."""


class _Damage(Exception):
    """Here is no record."""


class PageReader:
    """A file, with what is in the WAL beside it."""

    def __init__(self, path: Path) -> None:
        """Reads all of it.

        Raises:
            OSError: that is not possible.
        """
        self._data = path.read_bytes()
        size = int.from_bytes(self._data[16:18], "big") if self._data.startswith(_HEADER) else 4096
        self.page_size = 65536 if size == 1 else size if size in _SIZES else 4096
        reserved = self._data[20] if self._data.startswith(_HEADER) else 0
        self._usable = self.page_size - (reserved if reserved < 64 else 0)
        wal = path.with_name(f"{path.name}-wal")
        self._newer = self._wal_pages(wal.read_bytes()) if wal.exists() else {}
        self.pages = max(-(-len(self._data) // self.page_size), *self._newer, 0)
        self.damaged_pages = 0
        """Leaf pages with something in them that could not be read."""

    def records(self) -> Iterator[PageRecord]:
        """All of them, in the order of pages."""
        free = self._free_pages()
        for number in range(1, self.pages + 1):
            if number in free:
                continue
            page = self._page(number)
            start = 100 if number == 1 else 0
            if len(page) < self.page_size or page[start] not in (_TABLE_LEAF, _INDEX_LEAF):
                continue
            is_table = page[start] == _TABLE_LEAF
            count = int.from_bytes(page[start + 3 : start + 5], "big")
            damaged = count > self.page_size // 4
            for at in range(min(count, self.page_size // 4)):
                place = start + 8 + 2 * at
                cell = int.from_bytes(page[place : place + 2], "big")
                try:
                    yield self._record(page, cell, is_table)
                except (_Damage, IndexError, struct.error):
                    damaged = True
            self.damaged_pages += damaged

    def _page(self, number: int) -> bytes:
        newer = self._newer.get(number)
        if newer is not None:
            return newer
        return self._data[(number - 1) * self.page_size : number * self.page_size]

    def _wal_pages(self, wal: bytes) -> dict[int, bytes]:
        """The newest content of each page. Checksums are not looked at: behind a frame that is
        damaged, which SQLite drops with all that follow, there may be many that are not."""
        found: dict[int, bytes] = {}
        waiting: dict[int, bytes] = {}
        salt = wal[16:24]
        step = _FRAME_HEADER + self.page_size
        for at in range(_WAL_HEADER, len(wal) - step + 1, step):
            number, committed = struct.unpack_from(">II", wal, at)
            if wal[at + 8 : at + 16] != salt or not 0 < number < 1 << 31:
                continue
            waiting[number] = wal[at + _FRAME_HEADER : at + step]
            if committed:
                found |= waiting
                waiting.clear()
        return found

    def _free_pages(self) -> set[int]:
        """Pages with what was deleted."""
        free: set[int] = set()
        first = self._page(1)
        if not first.startswith(_HEADER):
            return free
        trunk = int.from_bytes(first[32:36], "big")
        while 0 < trunk <= self.pages and trunk not in free:
            free.add(trunk)
            page = self._page(trunk)
            count = min(int.from_bytes(page[4:8], "big"), self.page_size // 4 - 2)
            leaves = struct.unpack_from(f">{count}I", page, 8) if len(page) >= 8 + 4 * count else ()
            free.update(leaves)
            trunk = int.from_bytes(page[:4], "big")
        return free

    def _record(self, page: bytes, at: int, is_table: bool) -> PageRecord:
        size, at = _varint(page, at)
        rowid = None
        if is_table:
            rowid, at = _varint(page, at)
        if not 0 < size <= MOST_BYTES:
            raise _Damage
        payload = self._payload(page, at, size, is_table)
        header, at = _varint(payload, 0)
        if header > size:
            raise _Damage
        types = []
        while at < header:
            kind, at = _varint(payload, at)
            types.append(kind)
        if at != header or len(types) > MOST_COLUMNS:
            raise _Damage
        values: list[Value] = []
        damaged = False
        for kind in types:
            value, at, bad = _value(payload, at, kind)
            damaged |= bad
            values.append(value)
        if at != size:
            raise _Damage
        return PageRecord(rowid, tuple(values), damaged)

    def _payload(self, page: bytes, at: int, size: int, is_table: bool) -> bytes:
        usable = self._usable
        most = usable - 35 if is_table else (usable - 12) * 64 // 255 - 23
        if size <= most:
            return page[at : at + size]
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = local if local <= most else least
        parts = [page[at : at + local]]
        missing = size - local
        following = int.from_bytes(page[at + local : at + local + 4], "big")
        while missing > 0:
            overflow = self._page(following) if 0 < following <= self.pages else b""
            if len(overflow) < self.page_size:
                raise _Damage
            taken = min(missing, usable - 4)
            parts.append(overflow[4 : 4 + taken])
            missing -= taken
            following = int.from_bytes(overflow[:4], "big")
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for step in range(8):
        byte = data[at + step]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + step + 1
    value = value << 8 | data[at + 8]
    return value - (1 << 64) if value >> 63 else value, at + 9


_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _value(data: bytes, at: int, kind: int) -> tuple[Value, int, bool]:
    """A value, what follows it, and whether it is damaged."""
    if kind in (0, 8, 9):
        return (None if kind == 0 else kind - 8), at, False
    if kind in _INTEGERS:
        end = at + _INTEGERS[kind]
        return int.from_bytes(data[at:end], "big", signed=True), end, False
    if kind == 7:
        return struct.unpack_from(">d", data, at)[0], at + 8, False
    if kind < 12:
        raise _Damage
    end = at + (kind - 12) // 2
    content = data[at:end]
    if len(content) != end - at:
        raise _Damage
    if kind % 2 == 0:
        return content, end, False
    try:
        return content.decode(), end, False
    except UnicodeDecodeError:
        return content.decode(errors="replace"), end, True
