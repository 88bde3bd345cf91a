"""Folders for chats."""

from collections.abc import Sequence
from typing import Annotated, Literal

import falcon
import msgspec
from msgspec import UNSET, Meta, UnsetType

from appliance.api.chat.schemas import SettingsIn
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode, decode_query
from appliance.chat.turns import Turns
from appliance.errors import SessionNotFound
from appliance.store.callers.folders import Folder, FolderBook
from appliance.store.settings import Settings

operation = Operations("Folders")

Name = Annotated[str, Meta(min_length=1, max_length=100)]


class NewFolder(Body, kw_only=True, frozen=True):
    """`POST /api/folders`."""

    name: Name
    settings: SettingsIn | None = None
    """What a new chat in it begins with."""


class FolderChange(Body, kw_only=True, frozen=True):
    """`PATCH /api/folders/{id}`. Fields not given stay unchanged."""

    name: Name | UnsetType = UNSET
    settings: SettingsIn | UnsetType | None = UNSET
    """Fields to change; null resets all of them. Chats that are in it keep theirs."""


class FolderQuery(Body, kw_only=True, frozen=True):
    """`DELETE /api/folders/{id}`."""

    chats: Literal["keep", "delete"] = "keep"
    """`delete`: its chats are deleted as well, and can be restored like others."""


class FoldersAnswer(msgspec.Struct, frozen=True):
    """The caller's folders, by name."""

    folders: Sequence[Folder]


class Folders:
    """`/api/folders`: each key has its own; callers without a key share theirs."""

    def __init__(self, book: FolderBook, turns: Turns) -> None:
        self._book = book
        self._turns = turns

    @operation(gives=FoldersAnswer)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The caller's folders."""
        resp.media = FoldersAnswer(self._book.list(req.context.caller.key_id or ""))

    @operation(takes=NewFolder, gives=Folder, status=201, errors=(409, 507))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a folder; 201."""
        body = decode(req, NewFolder)
        settings = body.settings.to_settings() if body.settings else Settings()
        folder = self._book.create(req.context.caller.key_id or "", body.name, settings)
        resp.status = falcon.HTTP_201
        resp.location = f"/api/folders/{folder.id}"
        resp.media = folder

    @operation(gives=Folder)
    def on_get_one(self, req: falcon.Request, resp: falcon.Response, folder_id: str) -> None:
        """The folder."""
        resp.media = self._book.get(req.context.caller.key_id or "", folder_id)

    @operation(takes=FolderChange, gives=Folder, errors=(507,))
    def on_patch_one(self, req: falcon.Request, resp: falcon.Response, folder_id: str) -> None:
        """Change the name or the settings."""
        body = decode(req, FolderChange)
        settings = body.settings
        resp.media = self._book.change(
            req.context.caller.key_id or "",
            folder_id,
            body.name or None,
            settings.changes() if isinstance(settings, SettingsIn) else settings,
        )

    @operation(query=FolderQuery, status=204, errors=(507,))
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, folder_id: str) -> None:
        """Delete it; its chats stay, in no folder, unless they are to be deleted; 204."""
        owner = req.context.caller.key_id or ""
        if decode_query(req, FolderQuery).chats == "delete":
            for session_id in self._book.chats(owner, folder_id):
                try:
                    self._turns.delete(session_id)
                except SessionNotFound:
                    continue  # somebody else was faster
        self._book.remove(owner, folder_id)
        resp.status = falcon.HTTP_204
