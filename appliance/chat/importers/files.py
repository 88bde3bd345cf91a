"""Files, folders and archives with chats: the format is found by what they contain."""

import json
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import msgspec

from appliance.chat.importers import (
    chatgpt,
    claude,
    jan,
    librechat,
    lm_studio,
    open_webui,
    original,
    ours,
)
from appliance.chat.importers.chats import ImportedChat, Reader, mapping
from appliance.errors import ApplianceError
from appliance.store.copies.foreign import MAGIC, read_table

READERS: tuple[Reader, ...] = (
    *(ours.read, chatgpt.read, claude.read, open_webui.read),
    *(lm_studio.read, librechat.read, jan.read, original.read),
)
ENDINGS = {".json", ".jsonl", ".db", ".sqlite", ".sqlite3", ".zip"}
"""Of files in a folder or an archive that are looked at."""
ZIP = b"PK\x03\x04"
LARGEST_FILE = 2 * 1024**3
"""Bytes; a larger file, or one of an archive that would become larger, is refused."""
ROOM = 128 * 1024**2
"""Bytes that all files of an archive may have together which a client has sent: a small one may
become larger than memory."""


class SourceFile(msgspec.Struct, frozen=True):
    """One file that may contain chats."""

    name: str
    open: Callable[[], IO[bytes]]
    """Raises OSError, ValueError or zipfile.BadZipFile, and so does reading it."""
    beside: Callable[[str], bytes | None] = lambda _: None
    """The file of that name in the same folder; None: there is none."""
    path: Path | None = None
    """Where it is, if it is on the disk by itself."""
    named: bool = True
    """A person named it, rather than a folder or an archive that has it."""
    inside: bool = False
    """It is in an archive."""


class Problem(msgspec.Struct, frozen=True):
    """What could not be imported."""

    file: str
    reason: str


class Skipped(msgspec.Struct, frozen=True):
    """A file of a folder or an archive that has no chats."""

    file: str


Found = ImportedChat | Problem | Skipped


def read_path(path: Path) -> Iterator[Found]:
    """All chats of a file, an archive or a folder."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in ENDINGS)
        for file in files:
            if file.is_file():
                yield from _read(_on_disk(file, str(file.relative_to(path)), named=False))
    else:
        yield from _read(_on_disk(path, path.name, named=True))


def read_file(name: str, file: IO[bytes]) -> Iterator[Found]:
    """All chats of a file or an archive that a client has sent; it is closed in the end."""
    yield from _read(SourceFile(name, lambda: file), ROOM)


def _on_disk(file: Path, name: str, *, named: bool) -> SourceFile:
    def beside(other: str) -> bytes | None:
        path = file.with_name(other)
        return path.read_bytes() if path.is_file() else None

    return SourceFile(name, lambda: file.open("rb"), beside, file, named)


def _read(source: SourceFile, room: int = LARGEST_FILE) -> Iterator[Found]:
    try:
        with source.open() as file:
            kind = _bytes(file, len(MAGIC))
            file.seek(0)
            if kind.startswith(ZIP):
                if source.inside:
                    raise ValueError("it is an archive in an archive")
                yield from _read_archive(source, file, room)
            elif kind.startswith(MAGIC):
                yield from _each(source, original.read_rows(_rows(source, file)))
            else:
                yield from _read_document(source, _whole(file))
    except (OSError, ValueError, zipfile.BadZipFile, ApplianceError) as ex:
        yield Problem(source.name, str(ex))


def _whole(file: IO[bytes]) -> bytes:
    data = _bytes(file, LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ValueError(f"it has more than {LARGEST_FILE} bytes")
    return data


def _bytes(file: IO[bytes], most: int) -> bytes:
    try:
        return file.read(most)
    except (EOFError, zlib.error) as ex:  # of a damaged archive
        raise ValueError(str(ex) or "it is cut off") from ex


def _read_archive(source: SourceFile, file: IO[bytes], room: int) -> Iterator[Found]:
    with zipfile.ZipFile(file) as archive:
        # Their sizes are what the archive says, and reading stops there.
        looked_at = [
            entry
            for entry in archive.infolist()
            if PurePosixPath(entry.filename).suffix.lower() in ENDINGS - {".zip"}
        ]
        if sum(entry.file_size for entry in looked_at) > room:
            raise ValueError(f"its files have more than {room} bytes together")
        names = set(archive.namelist())
        for name in sorted(names):
            if PurePosixPath(name).suffix.lower() in ENDINGS - {".zip"}:
                yield from _read(_in_archive(archive, name, names, source.name))


def _in_archive(archive: zipfile.ZipFile, name: str, names: set[str], outside: str) -> SourceFile:
    def opened(which: str = name) -> IO[bytes]:
        try:
            return archive.open(which)
        except (RuntimeError, NotImplementedError) as ex:
            raise ValueError(str(ex)) from ex  # encrypted, or by an unknown method

    def beside(other: str) -> bytes | None:
        which = str(PurePosixPath(name).with_name(other))
        if which not in names:
            return None
        with opened(which) as file:
            return _whole(file)

    return SourceFile(f"{outside}: {name}", opened, beside, named=False, inside=True)


def _rows(source: SourceFile, data: IO[bytes]) -> Iterator[tuple[Any, Any]]:
    columns = ("session_id", "history")
    if source.path is not None:
        rows = read_table(source.path, "sessions", columns)
    else:
        with tempfile.TemporaryDirectory(prefix="appliance-import-") as folder:
            file = Path(folder) / "sessions.db"
            with file.open("wb") as copy:
                shutil.copyfileobj(data, copy)
            rows = read_table(file, "sessions", columns)
    for name, history in rows:
        try:
            yield name, _parse(history if isinstance(history, bytes) else str(history).encode())
        except ValueError:
            yield name, None  # which is reported with its name


def _read_document(source: SourceFile, data: bytes) -> Iterator[Found]:
    document = _document(data)
    if PurePosixPath(source.name).name == jan.MESSAGES:
        beside = source.beside(jan.THREAD)
        thread = mapping(_parse(beside)) if beside else {}
        chats = jan.read_thread(document, thread)
    else:
        chats = next((found for read in READERS if (found := read(document)) is not None), None)
    if chats is not None:
        yield from _each(source, chats)
    elif source.named:
        yield Problem(source.name, "it is of no format that is known here")
    else:
        yield Skipped(source.name)


def _each(source: SourceFile, chats: Iterator[ImportedChat]) -> Iterator[Found]:
    while True:
        try:
            chat = next(chats, None)
        except (ValueError, TypeError, LookupError) as ex:
            yield Problem(source.name, str(ex))
            continue
        if chat is None:
            return
        yield chat


def _document(data: bytes) -> Any:
    """JSON, or a JSON value in each line."""
    try:
        return _parse(data)
    except ValueError:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2 or not all(line.lstrip().startswith(b"{") for line in lines[:2]):
            raise
        return [_parse(line) for line in lines]


def _parse(data: bytes) -> Any:
    """
    Raises:
        ValueError: it is not JSON.
    """
    try:
        return msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as ex:
        failed = ex
    try:
        # It takes half a surrogate pair, which some programs write.
        return json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError(f"it is not JSON: {failed}") from failed
