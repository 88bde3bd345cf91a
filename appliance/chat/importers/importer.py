"""Storing chats from elsewhere, and the report about them."""

from collections.abc import Callable, Iterable

import msgspec

from appliance.chat.importers.chats import ImportedChat
from appliance.chat.importers.files import Found, Problem, Skipped
from appliance.errors import ApplianceError, StoreError
from appliance.store.callers.attachments import importing
from appliance.store.import_export import ChatImportExport

MOST_SKIPPED = 100
"""Files without chats that are named."""


class ImportedSession(msgspec.Struct, frozen=True):
    """A chat that is here now."""

    id: str
    title: str


class ImportReport(msgspec.Struct, frozen=True):
    """What became of files with chats."""

    imported: list[ImportedSession]
    already_here: int
    """Chats that were imported before, and are left as they are."""
    skipped: list[str]
    """Files of folders and archives that have no chats."""
    failed: list[Problem]


def add_chat(
    transfer: ChatImportExport, chat: ImportedChat, owner: str = ""
) -> ImportedSession | None:
    """Store a chat of `owner`'s; None: it was imported before.

    Raises:
        RequestError: it does not hang together.
        TooManySessions: there are as many as there may be.
        StoreError, StoreFull: it cannot be stored.
    """
    add = transfer.add_once if chat.origin else transfer.add
    session = add(chat.session, chat.messages, importing(owner, chat.attached))
    return ImportedSession(session.id, session.title) if session else None


Add = Callable[[ImportedChat], ImportedSession | None]
"""Stores a chat; None: it is here already. Raises ApplianceError."""


def import_chats(found: Iterable[Found], add: Add) -> ImportReport:
    """Store every chat that can be; one that can't be keeps no other from it.

    Raises:
        StoreError, StoreFull: nothing can be stored any more.
    """
    report = ImportReport([], 0, [], [])
    already = 0
    for one in found:
        if isinstance(one, Problem):
            report.failed.append(one)
        elif isinstance(one, Skipped):
            report.skipped[:] = [*report.skipped, one.file][:MOST_SKIPPED]
        else:
            try:
                stored = add(one)
            except StoreError:
                raise
            except ApplianceError as ex:
                report.failed.append(Problem(one.session.title or one.session.id, ex.message))
                continue
            if stored is None:
                already += 1
            else:
                report.imported.append(stored)
    return msgspec.structs.replace(report, already_here=already)
