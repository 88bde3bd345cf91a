"""Full-text search over all chats.

The index knows which messages have which three characters in a row: so words are found wherever
they stand, in the middle of others, in code, and in writing that has no spaces. It does not know
where they are, which keeps it as small as the texts: what it brings is looked at once more. Words
of one or two characters are looked for in the texts themselves. Case and the accents of Latin
letters make no difference.
"""

import logging
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NamedTuple

import apsw
import msgspec

from appliance.store.database import Database
from appliance.store.records import Role
from appliance.store.text import check_text

log = logging.getLogger(__name__)

BEFORE, SNIPPET = 60, 240
"""Characters of a snippet before its first hit, and in all."""


class SnippetSegment(msgspec.Struct, frozen=True):
    """A piece of a snippet; `hit`: it matches the query."""

    text: str
    hit: bool


class SearchHit(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message, file of a message, or title of a session that contains every word."""

    session_id: str
    session_title: str
    message_id: str | None
    """None: it is the title."""
    role: Role | None
    created_at: int
    """The message's; for a title, the last update of its session. Unix milliseconds."""
    snippet: list[SnippetSegment]
    attachment: str | None = None
    """The name of the file of that message that it is in; None: it is in none."""


class SearchPage(msgspec.Struct, frozen=True):
    """Some of the hits: titles first, then messages and then their files, the newest first."""

    hits: list[SearchHit]
    more: bool
    """There are others behind them."""


class Search:
    """Any thread may call."""

    def __init__(self, database: Database) -> None:
        """`database` is migrated."""
        self._database = database

    def find(self, query: str, limit: int, offset: int = 0) -> SearchPage:
        """Messages, their files and titles that have every word of `query`, of a file in its name
        or in one piece of its text; what stands in "…" is one word.

        Raises:
            RequestError: the query holds half a surrogate pair.
            StoreError: the database failed.
        """
        check_text(query, "q")
        words = _words(query)
        if not words:
            return SearchPage([], False)
        wanted = [[_folded(spelling)[0] for spelling in _spellings(word)] for word in words]
        with self._database.read() as connection:
            titles = [
                (session_id, title, updated_at)
                for session_id, stored, updated_at in _whole_rows(connection.execute(_TITLES))
                if _has(title := _decoded(stored), wanted)
            ]
            hits = [
                SearchHit(session_id, title, None, None, updated_at, _snippet(title, wanted))
                for session_id, title, updated_at in titles[offset : offset + limit + 1]
            ]
            rows: Any = connection.execute(*_candidates(words, _MESSAGES, _OF_MESSAGES))
            decoded = ((*row[:-1], _decoded(row[-1])) for row in _whole_rows(rows))
            in_messages = ((*row, None) for row in decoded if _has(row[-1], wanted))
            true = chain(in_messages, _in_files(connection, words, wanted))
            first = max(0, offset - len(titles))
            some = list(islice(true, first, first + limit + 1 - len(hits)))
            rows.close()
        hits += [
            SearchHit(
                session_id,
                _decoded(title),
                message_id,
                role,
                created_at,
                _snippet(content, wanted),
                name,
            )
            for session_id, title, message_id, role, created_at, content, name in some
        ]
        return SearchPage(hits[:limit], len(hits) > limit)


_TITLES: Any = """
SELECT id, CAST(title AS BLOB), updated_at FROM sessions
WHERE deleted_at IS NULL ORDER BY updated_at DESC, number DESC
"""

_MESSAGES = """
SELECT messages.session_id, CAST(title AS BLOB), messages.id, role, messages.created_at,
    CAST(messages.content AS BLOB)
FROM {source} JOIN sessions ON sessions.id = messages.session_id
WHERE deleted_at IS NULL AND removed_at IS NULL AND status <> 'streaming' AND {conditions}
ORDER BY {order} DESC
"""

_FILES: Any = """
SELECT messages.session_id, CAST(title AS BLOB), messages.id, role, messages.created_at,
    attachments.number, CAST(attachments.name AS BLOB)
FROM attachments JOIN messages ON messages.id = message_id
JOIN sessions ON sessions.id = messages.session_id
WHERE deleted_at IS NULL AND removed_at IS NULL
ORDER BY messages.number DESC, attachments.number
"""

_PIECES = """
SELECT attachments.number, attached_texts.number FROM {source}
JOIN attachments ON attachments.file = attached_texts.file
WHERE message_id IS NOT NULL AND {conditions}
ORDER BY {order}
"""


class _Texts(NamedTuple):
    """Where texts are."""

    table: str
    """Its `content` is searched."""
    found_by: str
    """The index."""


_OF_MESSAGES = _Texts("messages", "message_search")
_OF_FILES = _Texts("attached_texts", "attached_search")
_TRIGRAMS = 64
"""The most trigrams of one word that the index is searched for."""


def _whole_rows(rows: Iterable[Any]) -> Iterator[Any]:
    """The rows before the damage in a damaged database."""
    try:
        yield from rows
    except (apsw.CorruptError, UnicodeDecodeError) as ex:
        log.error("not everything could be searched: %s", ex)


def _decoded(stored: bytes | str) -> str:
    """A text; what is none in it is replaced."""
    return stored.decode(errors="replace") if isinstance(stored, bytes) else str(stored)


def _words(query: str) -> list[str]:
    """What to look for; half a pair of quotes is a character like any other."""
    plain = "".join(" " if unicodedata.category(c) == "Cc" else c for c in query)
    found = re.findall(r'"([^"]*\S[^"]*)"|(\S+)', plain)
    words = dict.fromkeys(phrase.strip() or word for phrase, word in found)
    return [word for word in words if _folded(word)[0]]


def _spellings(word: str) -> list[str]:
    """The same in other characters: an accent can be a part of its letter or stand behind it."""
    return list(dict.fromkeys([word, *(unicodedata.normalize(f, word) for f in ("NFC", "NFD"))]))


def _in_files(
    connection: apsw.Connection, words: Sequence[str], wanted: Sequence[Sequence[str]]
) -> Iterator[tuple[Any, ...]]:
    """The files of messages that have all words: the columns of `_MESSAGES`, and the name."""
    sql, values = _candidates(words, _PIECES, _OF_FILES)
    pieces: dict[int, list[int]] = {}
    for file, piece in _whole_rows(connection.execute(sql, values)):
        pieces.setdefault(file, []).append(piece)
    files: Any = connection.execute(_FILES)
    for *message, file, stored in _whole_rows(files):
        name = _decoded(stored)
        if _has(name, wanted):
            yield (*message, name, name)
            continue
        for piece in pieces.get(file, ()):
            text = _piece(connection, piece)
            if _has(text, wanted):
                yield (*message, text, name)
                break


def _piece(connection: apsw.Connection, number: int) -> str:
    sql = "SELECT CAST(content AS BLOB) FROM attached_texts WHERE number = ?"
    rows: Any = _whole_rows(connection.execute(sql, (number,)))
    return "".join(_decoded(stored) for (stored,) in rows)


def _candidates(words: Sequence[str], sql: str, where: _Texts) -> tuple[str, list[str]]:
    """SQL, and its values, for texts that may have all words; messages newest first."""
    table, index = where
    conditions, values, indexed = [], [], []
    for word in words:
        trigrams = [_trigrams(spelling) for spelling in _spellings(word)]
        if all(trigrams):
            indexed.append(f"({' OR '.join(trigrams)})")
            continue
        forms = {f for s in _spellings(word) for f in (s, s.lower(), s.upper(), s.title())}
        likes = " OR ".join(rf"{table}.content LIKE ? ESCAPE '\'" for _ in forms)
        conditions.append(f"({likes})")
        values += ["%{}%".format(re.sub(r"([\\%_])", r"\\\1", form)) for form in forms]
    if indexed:
        conditions.append(f"{index} MATCH ?")
        values.append(" AND ".join(indexed))
    join = f"{index} JOIN {table} ON {table}.number = {index}.rowid"
    made = sql.format(
        source=join if indexed else table,
        conditions=" AND ".join(conditions),
        order=f"{index}.rowid" if indexed else f"{table}.number",
    )
    return made, values


def _trigrams(word: str) -> str:
    """The index query for a word; empty for one that is too short."""
    # SQLite folds them itself, by the tables of an older Unicode than Python's.
    letters = "".join(character for character in word if _fold(character))
    trigrams = dict.fromkeys(letters[at : at + 3] for at in range(len(letters) - 2))
    quoted = ['"{}"'.format(trigram.replace('"', '""')) for trigram in trigrams]
    return f"({' AND '.join(quoted[:_TRIGRAMS])})" if quoted else ""


def _has(text: str, wanted: Sequence[Sequence[str]]) -> bool:
    folded, _ = _folded(text)
    return all(any(spelling in folded for spelling in word) for word in wanted)


def _snippet(text: str, wanted: Sequence[Sequence[str]]) -> list[SnippetSegment]:
    """What stands around the first hit, on one line."""
    folded, places = _folded(text)
    spellings = [spelling for word in wanted for spelling in word]
    firsts = [at for spelling in spellings if (at := folded.find(spelling)) >= 0]
    start = max(0, places[min(firsts)] - BEFORE) if firsts else 0
    if start:  # from a word on, if there is one
        space = re.search(r"\s", text[start : start + BEFORE // 2])
        start += space.end() if space else 0
    window = text[start : start + SNIPPET]
    segments = list(_segments(window, spellings))
    if start:
        segments.insert(0, SnippetSegment("…", False))
    if start + SNIPPET < len(text):
        segments.append(SnippetSegment("…", False))
    return segments


def _segments(text: str, wanted: Sequence[str]) -> Iterator[SnippetSegment]:
    folded, places = _folded(text)
    longest_first = sorted(wanted, key=len, reverse=True)
    end = 0
    for match in re.finditer("|".join(map(re.escape, longest_first)), folded):
        first = places[match.start()]
        behind = places[match.end()] if match.end() < len(places) else len(text)
        if first > end:
            yield SnippetSegment(_on_one_line(text[end:first]), False)
        yield SnippetSegment(_on_one_line(text[first:behind]), True)
        end = behind
    if end < len(text):
        yield SnippetSegment(_on_one_line(text[end:]), False)


def _on_one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def _folded(text: str) -> tuple[str, Sequence[int]]:
    """The text as the index sees it, and where in it each character came from."""
    if text.isascii():
        return text.lower(), range(len(text))
    kept = [(at, fold) for at, character in enumerate(text) if (fold := _fold(character))]
    return "".join(fold for _, fold in kept), [at for at, _ in kept]


@lru_cache(maxsize=4096)
def _fold(character: str) -> str:
    """One character, or none for what only changes the one before."""
    if unicodedata.combining(character):
        return ""
    base = unicodedata.normalize("NFD", character)[0]
    folded = (base if base.isascii() else character).lower()
    return folded if len(folded) == 1 else character
