"""Presets are stored for each key separately, and found again in a damaged file."""

from pathlib import Path

import pytest

from appliance.errors import Conflict, NotFound, RequestError
from appliance.store.callers import presets
from appliance.store.callers.presets import PresetBook
from appliance.store.copies.salvage import salvage
from appliance.store.database import Database
from appliance.store.sessions import Sessions
from appliance.store.settings import Settings


def test_each_owner_has_their_own(database: Database) -> None:
    book = PresetBook(database)
    poet = book.create("", "Poet", Settings(system_prompt="Rhyme.", temperature=1.2))
    book.create("key-1", "Poet", Settings(min_p=0.1))
    assert [preset.settings for preset in book.of("")] == [poet.settings]
    assert [preset.settings for preset in book.of("key-1")] == [Settings(min_p=0.1)]
    for owner in ("key-1", "key-2"):
        with pytest.raises(NotFound):
            book.change(owner, poet.id, "Mine", {})
        with pytest.raises(NotFound):
            book.delete(owner, poet.id)
    book.delete("", poet.id)
    assert book.of("") == []
    with pytest.raises(NotFound):
        book.delete("", poet.id)


def test_changes_of_different_settings_are_both_kept(database: Database) -> None:
    book = PresetBook(database)
    made = book.create("", "One", Settings(temperature=1.0, top_k=3))
    book.change("", made.id, None, {"temperature": None, "mirostat": 2})
    changed = book.change("", made.id, "Other", {"samplers": ("top_k",)})
    assert changed.name == "Other"
    assert changed.settings == Settings(top_k=3, mirostat=2, samplers=("top_k",))
    assert book.of("") == [changed]


def test_a_name_is_there_once_and_presets_are_limited(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "MOST_PRESETS", 2)
    book = PresetBook(database)
    first = book.create("", "b", Settings())
    with pytest.raises(Conflict, match="already"):
        book.create("", "b", Settings())
    second = book.create("", "a", Settings())
    with pytest.raises(Conflict, match="already"):
        book.change("", second.id, "b", {})
    assert book.change("", second.id, "a", {"seed": 1}).settings == Settings(seed=1)
    with pytest.raises(Conflict, match="Delete some"):
        book.create("", "c", Settings())
    book.create("key-1", "c", Settings())
    assert [preset.name for preset in book.of("")] == ["a", first.name]


def test_text_that_cannot_be_stored_is_refused_by_name(database: Database) -> None:
    book = PresetBook(database)
    with pytest.raises(RequestError) as refused:
        book.create("", "half \ud800", Settings())
    assert refused.value.param == "name"
    with pytest.raises(RequestError) as refused:
        book.create("", "whole", Settings(system_prompt="half \ud800"))
    assert refused.value.param == "settings.system_prompt"
    assert book.of("") == []


def test_they_are_found_without_sqlite(database: Database, tmp_path: Path) -> None:
    Sessions(database).create("A chat")
    kept = PresetBook(database).create("key-1", "Poet", Settings(system_prompt="Rhyme."))
    database.close()
    salvage(database.path, tmp_path / "found.db")
    found = Database(tmp_path / "found.db")
    assert PresetBook(found).of("key-1") == [kept]
    found.close()
