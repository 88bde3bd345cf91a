"""Each caller's preferences for the page."""

from typing import Annotated

import falcon
from msgspec import UNSET, Meta, UnsetType

from appliance.api.openapi.operation import Operations
from appliance.api.wire.bodies import Body, decode
from appliance.store.callers.preferences import (
    PreferenceBook,
    Preferences,
    TextSize,
    TextWidth,
    Theme,
)

operation = Operations("Settings")

Language = Annotated[str, Meta(pattern="^[A-Za-z-]{2,20}$")]


class PreferencesIn(Body, kw_only=True, frozen=True):
    """Preferences of the page; null resets a value."""

    theme: Theme | UnsetType | None = UNSET
    language: Language | UnsetType | None = UNSET
    rail_hidden: bool | UnsetType | None = UNSET
    text_size: TextSize | UnsetType | None = UNSET
    text_width: TextWidth | UnsetType | None = UNSET


class PagePreferences:
    """`/api/preferences`: each key has its own; callers without a key share theirs."""

    def __init__(self, book: PreferenceBook) -> None:
        self._book = book

    @operation(gives=Preferences)
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The preferences of the caller's key, or of all callers without one."""
        resp.media = self._book.of(_owner(req))

    @operation(takes=PreferencesIn, gives=Preferences, errors=(507,))
    def on_patch(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Change the fields that are given."""
        body = decode(req, PreferencesIn)
        given = {name: getattr(body, name) for name in body.__struct_fields__}
        changes = {name: value for name, value in given.items() if value is not UNSET}
        resp.media = self._book.change(_owner(req), changes)


def _owner(req: falcon.Request) -> str:
    owner: str | None = req.context.caller.key_id
    return owner or ""
