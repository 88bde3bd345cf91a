"""Chats from elsewhere into this installation, with its service or without one."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from appliance import __version__
from appliance.chat.importers import ours
from appliance.chat.importers.chats import ImportedChat
from appliance.chat.importers.importer import Add, ImportedSession, ImportReport, add_chat
from appliance.client.discovery import DataFolderLock
from appliance.client.http import Client, connect
from appliance.config import paths
from appliance.config.schema import Config
from appliance.errors import RequestError
from appliance.store.copies.upgrade import open_upgraded
from appliance.store.import_export import ChatImportExport


@contextmanager
def adder(config: Config) -> Iterator[Add]:
    """What stores a chat: the service, if one runs, which has the database to itself.

    Raises:
        ApplianceError: neither answers nor can be opened.
    """
    client = connect(config)
    if client is not None:
        yield lambda chat: _send(client, chat)
        return
    lock = DataFolderLock(paths.data_dir(config))
    try:
        database = open_upgraded(paths.database_file(config), __version__)
        try:
            transfer = ChatImportExport(database, config.limits.max_sessions)
            yield lambda chat: add_chat(transfer, chat)
        finally:
            database.close()
    finally:
        lock.release()


def _send(client: Client, chat: ImportedChat) -> ImportedSession | None:
    answer = client.call("POST", "/api/import", ours.write(chat))
    report = msgspec.convert(answer, ImportReport)
    if report.failed:
        raise RequestError(report.failed[0].reason)
    return report.imported[0] if report.imported else None
