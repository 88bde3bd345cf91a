"""Each caller's presets: settings under a name, to be used for chats."""

from typing import Annotated

import falcon
import msgspec
from msgspec import UNSET, Meta, UnsetType

from appliance.api.chat.schemas import SettingsIn
from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode
from appliance.store.callers.presets import Preset, PresetBook
from appliance.store.settings import NOTHING

operation = Operations("Settings")

PresetName = Annotated[str, Meta(max_length=80, pattern=r"\S")]


class PresetList(msgspec.Struct, frozen=True):
    """The caller's presets, by name."""

    presets: list[Preset]


class NewPreset(Body, kw_only=True, frozen=True):
    """`POST /api/presets`."""

    name: PresetName
    settings: SettingsIn | None = None


class PresetChange(Body, kw_only=True, frozen=True):
    """`PATCH /api/presets/{id}`. Fields not given stay unchanged."""

    name: PresetName | UnsetType = UNSET
    settings: SettingsIn | UnsetType = UNSET
    """Fields to change; null resets a value."""


class Presets:
    """`/api/presets` and below: each key has its own; callers without a key share theirs."""

    def __init__(self, book: PresetBook) -> None:
        self._book = book

    @operation(gives=PresetList)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The presets of the caller's key, or of all callers without one."""
        resp.media = PresetList(self._book.of(_owner(req)))

    @operation(takes=NewPreset, gives=Preset, status=201, errors=(409, 507))
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create a preset; 409 if there is one of that name."""
        body = decode(req, NewPreset)
        settings = body.settings.to_settings() if body.settings else NOTHING
        resp.media = self._book.create(_owner(req), body.name.strip(), settings)
        resp.status = falcon.HTTP_201

    @operation(takes=PresetChange, gives=Preset, errors=(409, 507))
    def on_patch_one(self, req: falcon.Request, resp: falcon.Response, preset_id: str) -> None:
        """Change the name, or the settings that are given."""
        body = decode(req, PresetChange)
        name = body.name.strip() if body.name is not UNSET else None
        changes = body.settings.changes() if body.settings is not UNSET else {}
        resp.media = self._book.change(_owner(req), preset_id, name, changes)

    @operation(status=204, errors=(507,))
    def on_delete_one(self, req: falcon.Request, resp: falcon.Response, preset_id: str) -> None:
        """Delete a preset; chats that it was used for keep their settings; 204."""
        self._book.delete(_owner(req), preset_id)
        resp.status = falcon.HTTP_204


def _owner(req: falcon.Request) -> str:
    owner: str | None = req.context.caller.key_id
    return owner or ""
