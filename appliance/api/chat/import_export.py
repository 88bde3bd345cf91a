"""Chats as files: exported with all their data, and imported."""

import re
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from typing import IO, Annotated, Any, Literal

import falcon
import msgspec
from msgspec import Meta

from appliance.api.chat.schemas import ModelName, SettingsIn, Title
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode, decode_query
from appliance.auth.keys.scopes import Caller
from appliance.chat.importers.chats import ImportedChat
from appliance.chat.importers.files import read_file
from appliance.chat.importers.importer import (
    ImportedSession,
    ImportReport,
    add_chat,
    import_chats,
)
from appliance.errors import RequestError, SessionNotFound
from appliance.store.callers.attachments import AttachedContent, AttachmentBook, importing
from appliance.store.import_export import ChatImportExport
from appliance.store.sessions import (
    DroppedBy,
    FinishReason,
    Message,
    MessageError,
    MessageStatus,
    MessageUsage,
    Role,
    Session,
    Sessions,
    Settings,
)

operation = Operations("Sessions")

LARGE = 8 * 1024 * 1024
"""Bytes of a file."""
VERSION = 1
"""The version of the file format."""

_NOT_IN_FILE_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]+')

Id = Annotated[str, Meta(pattern="^[!-~]{1,200}$")]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Seconds = Annotated[float, Meta(ge=0)]


class FileMetadata(Body, kw_only=True, frozen=True):
    """Where a file comes from. Unix milliseconds."""

    exported_at: Count
    appliance: str
    """The version of the appliance."""


class FileUsage(Body, kw_only=True, frozen=True):
    """Tokens and seconds that a reply took."""

    prompt_tokens: Count
    cached_tokens: Count
    cached_from: Annotated[str, Meta(max_length=20)] | None
    completion_tokens: Count
    dropped_messages: Count
    queued_seconds: Seconds
    prefill_seconds: Seconds
    decode_seconds: Seconds
    seed: Count
    context_tokens: Count
    n_ctx: Count | None
    dropped_by: DroppedBy | None = None


class FileError(Body, kw_only=True, frozen=True):
    """Why a reply failed."""

    code: Annotated[str, Meta(max_length=100)]
    message: Annotated[str, Meta(max_length=10_000)]


class FileMessage(Body, kw_only=True, frozen=True):
    """One message; its parent precedes it."""

    id: Id
    parent_id: Id | None
    role: Role
    content: str
    reasoning: str
    status: MessageStatus
    finish_reason: FinishReason | None
    model: ModelName | None
    created_at: Count
    usage: FileUsage | None
    error: FileError | None
    attachments: tuple[AttachedContent, ...] = ()
    edited: bool = False

    def to_store(self, session_id: str) -> Message:
        """For the store."""
        fields = msgspec.structs.asdict(self)
        del fields["attachments"]
        fields["usage"] = self.usage and MessageUsage(**msgspec.structs.asdict(self.usage))
        fields["error"] = self.error and MessageError(self.error.code, self.error.message)
        return Message(session_id=session_id, **fields)


class FileSession(Body, kw_only=True, frozen=True):
    """A session."""

    id: Id
    title: Title
    pinned: bool
    created_at: Count
    updated_at: Count
    leaf_id: Id | None
    settings: SettingsIn | None
    client_id: Annotated[str, Meta(max_length=4096)] | None = None
    """What clients that choose ids call it."""

    def to_store(self) -> Session:
        """For the store."""
        fields = msgspec.structs.asdict(self)
        fields["settings"] = self.settings and self.settings.to_settings()
        return Session(live_message_id=None, **fields)


class ChatFile(Body, kw_only=True, frozen=True):
    """A chat as a file, to import."""

    format: Literal["appliance.chat"]
    version: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    metadata: FileMetadata
    session: FileSession
    messages: list[FileMessage]


class ExportedSession(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A session, exported."""

    id: str
    title: str
    pinned: bool
    created_at: int
    updated_at: int
    leaf_id: str | None
    settings: Settings | None
    client_id: str | None = None


class ExportedMessage(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """A message, exported."""

    id: str
    parent_id: str | None
    role: Role
    content: str
    reasoning: str
    status: MessageStatus
    finish_reason: FinishReason | None
    model: str | None
    created_at: int
    usage: MessageUsage | None
    error: MessageError | None
    attachments: Sequence[AttachedContent] = ()
    edited: bool = False


class ExportedChat(msgspec.Struct, kw_only=True, frozen=True):
    """A chat as a file, exported; `ChatFile` accepts it."""

    format: Literal["appliance.chat"] = "appliance.chat"
    version: int = VERSION
    metadata: FileMetadata
    session: ExportedSession
    messages: Sequence[ExportedMessage]


class ExportedChats(msgspec.Struct, kw_only=True, frozen=True):
    """Chats as a file; `POST /api/import` accepts it."""

    format: Literal["appliance.chats"] = "appliance.chats"
    version: int = VERSION
    chats: Sequence[ExportedChat]


class ExportIn(Body, kw_only=True, frozen=True):
    """`POST /api/export`."""

    session_ids: Annotated[list[Id], Meta(min_length=1, max_length=100_000)] | None = None
    """Those that are not there any more are left out. Null: all."""


class ImportQuery(Body, kw_only=True, frozen=True):
    """`POST /api/import`."""

    name: Annotated[str, Meta(max_length=500)] = "the file"
    """The file's, for messages about it."""


class ChatFiles:
    """`/api/sessions/{session_id}/export`, `/api/export`, `/api/sessions/import`, `/api/import`"""

    def __init__(
        self,
        sessions: Sessions,
        transfer: ChatImportExport,
        book: AttachmentBook,
        version: str,
    ) -> None:
        """`version`: the appliance's."""
        self._sessions = sessions
        self._book = book
        self._transfer = transfer
        self._version = version
        self._large = threading.Lock()
        """One at a time: JSON takes several times its size while it is read."""

    @operation(gives=ExportedChat)
    def on_get_export(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """The chat as a file, with all its branches."""
        chat = self._exported(session_id)
        resp.data = msgspec.json.format(msgspec.json.encode(chat), indent=1)
        resp.content_type = falcon.MEDIA_JSON
        title = _NOT_IN_FILE_NAMES.sub(" ", chat.session.title).strip()
        resp.downloadable_as = f"{title or 'chat'}.json"

    @operation(takes=ExportIn, optional=True, gives=ExportedChats)
    def on_post_export_many(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Chats as one file, each with all its branches: those that are named, or all."""
        ids = decode(req, ExportIn, empty=ExportIn()).session_ids
        if ids is None:
            ids = [session.id for session in self._sessions.list()]
        chats = []
        for session_id in ids:
            try:
                chats.append(msgspec.json.encode(self._exported(session_id)))
            except SessionNotFound:
                continue
        head = b'{"format":"appliance.chats","version":%d,"chats":[\n' % VERSION
        resp.data = b"".join((head, b",\n".join(chats), b"\n]}\n"))
        resp.content_type = falcon.MEDIA_JSON
        resp.downloadable_as = "chats.json"

    def _exported(self, session_id: str) -> ExportedChat:
        session, messages = self._transfer.read(session_id)
        return ExportedChat(
            metadata=FileMetadata(exported_at=time.time_ns() // 1_000_000, appliance=self._version),
            session=msgspec.convert(session, ExportedSession, from_attributes=True),
            messages=self._with_files(messages),
        )

    def _with_files(self, messages: Sequence[Message]) -> list[ExportedMessage]:
        files = self._book.contents([it for message in messages for it in message.attachments])
        made = []
        for message in messages:
            plain = msgspec.structs.replace(message, attachments=())
            exported = msgspec.convert(plain, ExportedMessage, from_attributes=True)
            attached = tuple(files[it.id] for it in message.attachments)
            made.append(msgspec.structs.replace(exported, attachments=attached))
        return made

    @operation(takes=ChatFile, gives=Session, status=201, errors=(409, 507))
    def on_post_import(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Import a chat from a file; ids that are already used, or that could not be part of an
        address, are replaced."""
        chat = decode(req, ChatFile)
        if chat.version > VERSION:
            raise RequestError(
                "This chat was exported by a newer version of the appliance. Update the appliance.",
                param="version",
            )
        session = chat.session.to_store()
        attached = {m.id: m.attachments for m in chat.messages if m.attachments}
        session = self._transfer.add(
            session,
            [m.to_store(session.id) for m in chat.messages],
            importing(_owner(req), attached),
        )
        resp.status = falcon.HTTP_201
        resp.location = f"/api/sessions/{session.id}"
        resp.media = session

    @operation(takes=Any, gives=ImportReport, query=ImportQuery, errors=(415, 507))
    def on_post_any(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Import chats from a file of any format that is known: JSON, a SQLite database or a zip.

        One chat that can't be imported keeps no other from it. Chats of other programs that were
        imported before are left as they are.
        """
        name = decode_query(req, ImportQuery).name
        file: IO[bytes] = req.env["wsgi.input"]  # in memory, or on the disk if it is large
        with self._large if (req.content_length or 0) > LARGE else nullcontext():
            resp.media = import_chats(read_file(name, file), partial(self._add, _owner(req)))

    def _add(self, owner: str, chat: ImportedChat) -> ImportedSession | None:
        return add_chat(self._transfer, chat, owner)


def _owner(req: falcon.Request) -> str:
    caller: Caller = req.context.caller
    return caller.owner
