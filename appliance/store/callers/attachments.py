"""Files that people attach to messages.

Until it is sent, an attachment is its owner's alone, for a day. Then it belongs to its message: who
may read that may read it, and it goes when the message goes. The same content is stored once for
each owner, and never shared between owners: who uploads a file learns nothing of what others have.
"""

import hashlib
import logging
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import apsw
import msgspec
from msgspec import Meta

from appliance.errors import Conflict, NotFound, RequestError, StoreFull
from appliance.store.database import Database
from appliance.store.import_export import Also
from appliance.store.records import ATTACHMENTS, Attachment, possible
from appliance.store.text import check_text

log = logging.getLogger(__name__)

MOST_BYTES = 50 * 1024 * 1024
"""Of a file."""
MOST_EXPORTED = 32 * 1024 * 1024
"""Bytes of the files in an exported chat."""
MOST_UNSENT = 50
"""Attachments of one owner that were not sent."""
MOST_OF_A_MESSAGE = 20
CHUNK = 512 * 1024
"""Bytes of a piece of content."""
PIECE = 32_000
"""Characters of a piece of text, at most: what the index finds, and a search looks through."""
UNSENT_MILLISECONDS = 24 * 3600 * 1000
LONGEST_NAME = 255
Kind = Literal["text", "html", "pdf", "docx"]
ROOM = 3
"""Free space, in sizes of a file, that is needed to store it: for the WAL, the text and its index
as well."""
SPARE = 64 * 1024 * 1024
"""Bytes that stay free beside that."""

_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\"<>]+")
_VISIBLE = """
 LEFT JOIN messages ON messages.id = message_id LEFT JOIN sessions ON sessions.id = session_id
 WHERE attachments.id = ?1 AND (deleted_at IS NULL AND session_id IS NOT NULL
 OR message_id IS NULL AND attachments.owner = ?2)
"""


class AttachedContent(msgspec.Struct, frozen=True, kw_only=True):
    """All of a file, for export and import."""

    name: Annotated[str, Meta(max_length=LONGEST_NAME)]
    kind: Kind
    pages: Annotated[int, Meta(ge=0, le=2**31)] | None
    characters: Annotated[int, Meta(ge=0, le=2**31)]
    shown: Annotated[int, Meta(ge=0, le=2**31)] | None
    text: str
    content: bytes | None
    """None: too large for that; the text is there."""


class AttachmentBook:
    """Any thread may call. Raises StoreFull or StoreError where the database does."""

    def __init__(self, database: Database, free: Callable[[], int] | None = None) -> None:
        """`database` is migrated; `free`: bytes that are free on its disk."""
        self._database = database
        self._free = free or (lambda: shutil.disk_usage(database.path.parent).free)

    # -- uploads ---------------------------------------------------------------------------------

    def begin(self, owner: str, name: str, size: int) -> Attachment:
        """A file that is to be uploaded.

        Args:
            owner: whose it is.
            name: of the file, for people and the model.
            size: bytes.

        Raises:
            RequestError: it is empty, or too large.
            Conflict: the owner has too many that were not sent.
            StoreFull: the disk has no room for it.
        """
        name = clean_name(name)
        if not size:
            raise RequestError(f"{name} is empty", param="bytes")
        if size > MOST_BYTES:
            most = MOST_BYTES // 2**20
            raise RequestError(f"{name} has more than {most} MB, the most of a file", param="bytes")
        if self._free() < ROOM * size + SPARE:
            raise StoreFull(f"The disk has no room for {name}. Free some space and try again.")
        id = f"att-{secrets.token_hex(12)}"
        with self._database.write() as connection:
            count: Any = connection.execute(
                "SELECT count(*) FROM attachments WHERE owner = ? AND message_id IS NULL", (owner,)
            ).fetchall()
            if count[0][0] >= MOST_UNSENT:
                raise Conflict(
                    f"{MOST_UNSENT} attachments were not sent; send or remove some of them"
                )
            connection.execute(
                "INSERT INTO attached_files (owner, hash, bytes) VALUES (?, ?, ?)",
                (owner, f"upload {id}", size),
            )
            connection.execute(
                "INSERT INTO attachments (id, owner, file, name) VALUES (?, ?, ?, ?)",
                (id, owner, connection.last_insert_rowid(), name),
            )
        return Attachment(id, name, size, None, 0)

    def append(self, owner: str, id: str, offset: int, data: bytes) -> int:
        """The next part of an upload; how many bytes there are now. A part that was stored before
        changes nothing.

        Raises:
            NotFound: there is no such upload.
            Conflict: it is whole, or `offset` is not where it goes on.
            RequestError: it is more than was announced.
        """
        with self._database.write() as connection:
            file, attachment = self._upload(connection, owner, id)
            stored = _stored(connection, file)
            if offset + len(data) <= stored and data:
                return stored
            if offset != stored:
                raise Conflict(f"{attachment.name} goes on at byte {stored}", param="offset")
            if stored + len(data) > attachment.bytes:
                raise RequestError(
                    f"{attachment.name} has more than the {attachment.bytes} bytes that were"
                    " announced",
                    param="bytes",
                )
            connection.executemany(
                "INSERT INTO attached_chunks (file, content) VALUES (?, ?)",
                [(file, data[at : at + CHUNK]) for at in range(0, len(data), CHUNK)],
            )
            return stored + len(data)

    def uploaded(self, owner: str, id: str) -> tuple[Attachment, bytes | None]:
        """An upload, and its content; None: a part is missing.

        Raises:
            NotFound: there is no such upload.
            Conflict: it was read already.
        """
        with self._database.read() as connection:
            file, attachment = self._upload(connection, owner, id)
            if _stored(connection, file) < attachment.bytes:
                return attachment, None
            return attachment, b"".join(_chunks(connection, file))

    def finish(
        self, owner: str, id: str, content: bytes, made: tuple[str, str, int, int | None]
    ) -> Attachment:
        """An upload was read.

        Args:
            owner: whose it is.
            id: of the attachment.
            content: all of it.
            made: kind, text, characters of the whole text, pages.

        Raises:
            NotFound: there is no such upload any more.
            Conflict: it was read already.
        """
        with self._database.write() as connection:
            file, _ = self._upload(connection, owner, id)
            _settle(connection, file, owner, content, made, id)
            return _find(connection, owner, id)

    def remove(self, owner: str, id: str) -> None:
        """Remove an attachment that was not sent, for good.

        Raises:
            NotFound: there is none.
            Conflict: it was sent.
        """

        def remove(connection: apsw.Connection) -> None:
            _find(connection, owner, id)
            connection.execute(
                "DELETE FROM attachments WHERE id = ? AND owner = ? AND message_id IS NULL",
                (id, owner),
            )
            if not connection.changes():
                raise Conflict("it was sent, and goes with its message", param="attachment_id")

        self._database.write_freeing(remove)
        self._database.give_back_pages()

    def expire(self, age: int) -> None:
        """Remove what was not sent for a day, by the time that chats age by, in milliseconds."""
        due = "SELECT 1 FROM attachments WHERE message_id IS NULL AND (age IS NULL OR age <= ?)"
        until = age - UNSENT_MILLISECONDS
        with self._database.read() as connection:
            if not connection.execute(f"{due} LIMIT 1", (until,)).fetchall():
                return

        def remove(connection: apsw.Connection) -> int:
            connection.execute(
                "UPDATE attachments SET age = ? WHERE message_id IS NULL AND age IS NULL", (age,)
            )
            connection.execute(
                "DELETE FROM attachments WHERE message_id IS NULL AND age <= ?", (until,)
            )
            return connection.changes()

        if gone := self._database.write_freeing(remove):
            self._database.give_back_pages()
            log.info("%d attachments were not sent for a day and are gone", gone)

    def contents(self, attachments: Sequence[Attachment]) -> dict[str, AttachedContent]:
        """All of the attachments of a chat, by id, to export them. Files are left out from where
        they would be too large together; their texts are there."""
        left = MOST_EXPORTED
        found = {}
        with self._database.read() as connection:
            for it in attachments:
                left -= it.bytes
                found[it.id] = _export(connection, it, with_content=left >= 0)
        return found

    # -- reading ---------------------------------------------------------------------------------

    def get(self, owner: str, id: str) -> Attachment:
        """An attachment of `owner`, or one that was sent.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            return _find(connection, owner, id)

    def text(self, owner: str, id: str) -> str:
        """What the model reads of it, as far as its context has room.

        Raises:
            NotFound: there is none, or it is still being uploaded.
        """
        with self._database.read() as connection:
            return _text(connection, _file(connection, owner, id))

    def sent_text(self, attachment: Attachment) -> str:
        """The text of an attachment of a message that was read before.

        Raises:
            NotFound: it is gone.
        """
        return self.text("", attachment.id)

    def content(self, owner: str, id: str) -> bytes:
        """The file as it was uploaded.

        Raises:
            NotFound: there is none.
        """
        with self._database.read() as connection:
            return b"".join(_chunks(connection, _file(connection, owner, id)))

    def _upload(self, connection: apsw.Connection, owner: str, id: str) -> tuple[int, Attachment]:
        found = _find(connection, owner, id)
        if found.kind is not None:
            raise Conflict(f"{found.name} was uploaded already", param="attachment_id")
        return _file(connection, owner, id), found


def _export(
    connection: apsw.Connection, attachment: Attachment, *, with_content: bool
) -> AttachedContent:
    """All of an attachment that a message has."""
    file = _file(connection, "", attachment.id)
    return AttachedContent(
        name=attachment.name,
        kind=cast(Kind, attachment.kind or "text"),
        pages=attachment.pages,
        characters=attachment.characters,
        shown=attachment.shown,
        text=_text(connection, file),
        content=b"".join(_chunks(connection, file)) if with_content else None,
    )


def importing(owner: str, attached: Mapping[str, Sequence[AttachedContent]]) -> Also:
    """What `ChatImportExport.add` is given for a chat with attachments.

    Args:
        owner: who imports it.
        attached: by the ids that the messages have there.

    Raises:
        RequestError: one of them can't be stored.
    """
    for found in attached.values():
        if len(found) > MOST_OF_A_MESSAGE:
            raise RequestError(
                f"a message has {MOST_OF_A_MESSAGE} attachments at most", param="attachments"
            )
        for it in found:
            check_text(it.text, "attachments.text")
            if max(len(it.content or b""), len(it.text)) > MOST_BYTES:
                raise RequestError(f"{it.name} is too large", param="attachments")

    def also(connection: apsw.Connection, ids: dict[str | None, str | None]) -> None:
        for message_id, found in attached.items():
            if (now := ids.get(message_id)) is not None:
                _import(connection, owner, now, found)

    return also


def _import(
    connection: apsw.Connection, owner: str, message_id: str, found: Sequence[AttachedContent]
) -> None:
    for it in found:
        id = f"att-{secrets.token_hex(12)}"
        content = it.text.encode() if it.content is None else it.content
        connection.execute(
            "INSERT INTO attached_files (owner, hash, bytes) VALUES (?, ?, ?)",
            (owner, f"upload {id}", len(content)),
        )
        file = connection.last_insert_rowid()
        connection.executemany(
            "INSERT INTO attached_chunks (file, content) VALUES (?, ?)",
            [(file, content[at : at + CHUNK]) for at in range(0, len(content), CHUNK)],
        )
        connection.execute(
            "INSERT INTO attachments (id, owner, file, message_id, shown, name)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (id, owner, file, message_id, it.shown, clean_name(it.name)),
        )
        made = (it.kind, it.text, max(it.characters, len(it.text)), it.pages)
        _settle(connection, file, owner, content, made, id)


def clean_name(name: str) -> str:
    """A file's name without its folders, and without what would do harm in a line of text."""
    plain = _UNFIT.sub(" ", name.encode("utf-8", "replace").decode())
    plain = re.split(r"[\\/]", plain)[-1].strip()
    if len(plain) > LONGEST_NAME:
        stem, dot, ending = plain.rpartition(".")
        ending = f"{dot}{ending}" if len(ending) < 10 and stem else ""
        plain = plain[: LONGEST_NAME - len(ending)] + ending
    return plain or "file"


def pieces(text: str) -> Iterator[str]:
    """The text in pieces, divided at the ends of lines or words where there are some."""
    start = 0
    while start < len(text):
        end = start + PIECE
        if end < len(text):
            line = max(text.rfind("\n", start + PIECE // 2, end), 0)
            end = (line or max(text.rfind(" ", start + PIECE // 2, end), 0) or end - 1) + 1
        yield text[start:end]
        start = end


def _settle(
    connection: apsw.Connection,
    file: int,
    owner: str,
    content: bytes,
    made: tuple[str, str, int, int | None],
    id: str,
) -> None:
    """The file of an attachment is whole: it gets its text, or makes way for the same one."""
    kind, text, characters, pages = made
    digest = hashlib.sha256(content).hexdigest()
    same: Any = connection.execute(
        "SELECT number FROM attached_files WHERE owner = ? AND hash = ?", (owner, digest)
    ).fetchall()
    if same:
        connection.execute("UPDATE attachments SET file = ? WHERE id = ?", (same[0][0], id))
        return
    connection.execute(
        "UPDATE attached_files SET hash = ?, kind = ?, pages = ?, characters = ? WHERE number = ?",
        (digest, kind, pages, characters, file),
    )
    connection.executemany(
        "INSERT INTO attached_texts (file, content) VALUES (?, ?)",
        [(file, piece) for piece in pieces(text)],
    )


def _find(connection: apsw.Connection, owner: str, id: str) -> Attachment:
    rows: Any = []
    if possible(id):
        rows = connection.execute(ATTACHMENTS + _VISIBLE, (id, owner)).fetchall()
    if not rows:
        raise NotFound(f"there is no attachment {id!a}", param="attachment_id")
    return Attachment(*rows[0][1:])


def _file(connection: apsw.Connection, owner: str, id: str) -> int:
    _find(connection, owner, id)
    rows: Any = connection.execute("SELECT file FROM attachments WHERE id = ?", (id,)).fetchall()
    return int(rows[0][0])


def _stored(connection: apsw.Connection, file: int) -> int:
    rows: Any = connection.execute(
        "SELECT ifnull(sum(length(content)), 0) FROM attached_chunks WHERE file = ?", (file,)
    ).fetchall()
    return int(rows[0][0])


def _chunks(connection: apsw.Connection, file: int) -> Iterator[bytes]:
    for (chunk,) in connection.execute(
        "SELECT content FROM attached_chunks WHERE file = ? ORDER BY number", (file,)
    ):
        assert isinstance(chunk, bytes)
        yield chunk


def _text(connection: apsw.Connection, file: int) -> str:
    rows: Any = connection.execute(
        "SELECT content FROM attached_texts WHERE file = ? ORDER BY number", (file,)
    )
    return "".join(piece for (piece,) in rows)
