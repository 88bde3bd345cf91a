"""Folders and drafts: each of one owner alone."""

import pytest

from appliance.errors import Conflict, NotFound, RequestError
from appliance.store.callers import drafts as drafts_module
from appliance.store.callers.drafts import DraftBook
from appliance.store.callers.folders import FolderBook
from appliance.store.database import Database
from appliance.store.sessions import SessionChanges, Sessions, Settings
from appliance.store.upkeep.retention import Retention


@pytest.fixture
def folders(database: Database) -> FolderBook:
    return FolderBook(database)


@pytest.fixture
def drafts(database: Database) -> DraftBook:
    return DraftBook(database)


def test_a_folder_is_its_owners_alone(folders: FolderBook) -> None:
    mine = folders.create("me", "Travel", Settings(system_prompt="You know every train."))
    folders.create("me", "cooking")
    folders.create("you", "Work")
    assert [folder.name for folder in folders.list("me")] == ["cooking", "Travel"]
    assert [folder.name for folder in folders.list("you")] == ["Work"]
    assert folders.list("") == []
    for refused in (
        lambda: folders.get("you", mine.id),
        lambda: folders.change("you", mine.id, "Mine now"),
        lambda: folders.remove("you", mine.id),
        lambda: folders.chats("you", mine.id),
        lambda: folders.get("me", "\ud800"),
    ):
        with pytest.raises(NotFound):
            refused()
    assert folders.get("me", mine.id) == mine


def test_a_folder_is_renamed_and_its_settings_are_changed_one_by_one(folders: FolderBook) -> None:
    folder = folders.create("me", "Travel", Settings(top_k=3))
    assert folders.change("me", folder.id, "Trains").settings == Settings(top_k=3)
    changed = folders.change("me", folder.id, settings={"temperature": 0.5})
    assert (changed.name, changed.settings) == ("Trains", Settings(top_k=3, temperature=0.5))
    assert folders.change("me", folder.id, settings={"top_k": None}).settings == Settings(
        temperature=0.5
    )
    assert folders.change("me", folder.id, settings=None).settings is None
    with pytest.raises(RequestError) as refused:
        folders.change("me", folder.id, settings={"system_prompt": "\ud800"})
    assert refused.value.param == "settings.system_prompt"


def test_chats_of_a_folder_that_goes_stay_in_none(
    sessions: Sessions, folders: FolderBook, retention: Retention
) -> None:
    folder = folders.create("me", "Travel")
    inside, deleted = (sessions.create(title, folder_id=folder.id) for title in ("in", "deleted"))
    moved = sessions.create("moved")
    sessions.update(moved.id, SessionChanges(folder_id=folder.id))
    sessions.delete(deleted.id)
    assert set(folders.chats("me", folder.id)) == {inside.id, moved.id}
    seen = sessions.page(100).revision
    folders.remove("me", folder.id)
    assert {chat.folder_id for chat in sessions.list()} == {None}
    assert sessions.restore(deleted.id).folder_id is None
    changed = {chat.id for chat in sessions.changes(seen, 100).sessions}
    assert {inside.id, moved.id} <= changed, "another page sees that they moved"


def test_drafts_are_kept_by_owner_and_chat(sessions: Sessions, drafts: DraftBook) -> None:
    chat = sessions.create().id
    drafts.keep("me", chat, "Dear")
    drafts.keep("me", chat, "Dear all")
    drafts.keep("me", "", "New")
    drafts.keep("you", chat, "Hi")
    drafts.keep("me", "nowhere", "lost")
    assert drafts.of("me") == {chat: "Dear all", "": "New"}
    assert drafts.of("you") == {chat: "Hi"}
    drafts.keep("me", chat, "")
    assert drafts.of("me") == {"": "New"}
    with pytest.raises(RequestError) as refused:
        drafts.keep("me", "", "\ud800")
    assert refused.value.param == "text"


def test_a_draft_goes_with_its_chat_and_there_are_not_too_many(
    sessions: Sessions,
    drafts: DraftBook,
    retention: Retention,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drafts_module, "MOST", 2)
    one, two, three = (sessions.create().id for _ in range(3))
    drafts.keep("me", one, "1")
    drafts.keep("me", two, "2")
    drafts.keep("me", two, "2 again")
    with pytest.raises(Conflict):
        drafts.keep("me", three, "3")
    sessions.delete(one)
    assert one in drafts.of("me"), "it can be restored"
    retention.purge_now([one])
    assert drafts.of("me") == {two: "2 again"}
