"""The page's preferences are stored for each key separately."""

from appliance.store.callers.preferences import PreferenceBook, Preferences
from appliance.store.database import Database


def test_each_owner_has_their_own(database: Database) -> None:
    book = PreferenceBook(database)
    assert book.of("") == Preferences()
    assert book.change("", {"theme": "dark"}) == Preferences(theme="dark")
    book.change("key-1", {"theme": "light", "rail_hidden": True})
    book.change("", {"language": "de"})
    assert book.of("") == Preferences(theme="dark", language="de")
    book.change("", {"theme": None})
    assert book.of("") == Preferences(language="de")
    assert book.of("key-1") == Preferences(theme="light", rail_hidden=True)
