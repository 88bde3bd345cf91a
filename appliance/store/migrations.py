"""The schema, as the list of steps that made it.

A step is known by its name. Once released it is never changed, moved or taken out: what should be
different is a step of its own at the end.
"""

import time
from collections.abc import Sequence

import apsw
import msgspec

from appliance.errors import StoreTooNew
from appliance.store.database import Database


class Migration(msgspec.Struct, frozen=True):
    """One step from schema to schema; `sql` may be several statements."""

    name: str
    sql: str


# Why the tables look as they do:
# - `number` is the order of making. Clocks are set back, so times do not sort a chat; a parent's
#   number is always below its children's.
# - `leaf_id` has no foreign key: messages go only with their session, and checking the key would
#   cost a search through `sessions` for every one that goes.
# - `content` comes last: what stands behind a long text is reached through all of its pages.
# - The index `live_replies` holds what is being written now, a few rows at most. It finds a
#   session's live reply without looking at its messages, and keeps a second one out.
# - Words such as a role have no CHECK: taking a new one in would mean to write the table anew.
_SESSIONS = """
CREATE TABLE sessions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    leaf_id TEXT
) STRICT;
CREATE INDEX sessions_by_update ON sessions (updated_at);

CREATE TABLE messages (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    parent_id TEXT REFERENCES messages (id),
    role TEXT NOT NULL,
    status TEXT NOT NULL,
    finish_reason TEXT,
    model TEXT,
    created_at INTEGER NOT NULL,
    prompt_tokens INTEGER,
    cached_tokens INTEGER,
    cached_from TEXT,
    completion_tokens INTEGER,
    dropped_messages INTEGER,
    queued_seconds REAL,
    prefill_seconds REAL,
    decode_seconds REAL,
    seed INTEGER,
    error_code TEXT,
    error_message TEXT,
    content TEXT NOT NULL
) STRICT;
CREATE INDEX messages_by_session ON messages (session_id);
CREATE INDEX messages_by_parent ON messages (parent_id);
CREATE UNIQUE INDEX live_replies ON messages (session_id) WHERE status = 'streaming';
"""

# - `deleted_at` is set while a deletion can be undone; such a session is not visible.
# - `settings` are JSON: SQL never looks into them, and a new one needs no step of its own.
# - `profile` has one row.
_CHATS = """
ALTER TABLE sessions ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN settings TEXT;
ALTER TABLE sessions ADD COLUMN deleted_at INTEGER;
CREATE INDEX deleted_sessions ON sessions (deleted_at) WHERE deleted_at IS NOT NULL;

ALTER TABLE messages ADD COLUMN reasoning TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN context_tokens INTEGER;
ALTER TABLE messages ADD COLUMN n_ctx INTEGER;

CREATE TABLE profile (number INTEGER PRIMARY KEY, settings TEXT) STRICT;
"""

# - The index has no copy of the texts, only what finds them. Triggers keep it in step, so that no
#   way of writing a message can pass it by.
# - A reply is taken in when it has ended: while it grows, its text is written twice a second.
_SEARCH = """
CREATE VIEW messages_to_search AS
SELECT number, content FROM messages WHERE status <> 'streaming';

CREATE VIRTUAL TABLE message_search USING fts5 (
    content,
    content = 'messages_to_search',
    content_rowid = 'number',
    tokenize = 'trigram remove_diacritics 1',
    detail = none
);
INSERT INTO message_search (message_search) VALUES ('rebuild');

CREATE TRIGGER message_made AFTER INSERT ON messages WHEN new.status <> 'streaming' BEGIN
    INSERT INTO message_search (rowid, content) VALUES (new.number, new.content);
END;
CREATE TRIGGER message_changed AFTER UPDATE OF content, status ON messages
WHEN old.status <> 'streaming' OR new.status <> 'streaming' BEGIN
    INSERT INTO message_search (message_search, rowid, content)
    SELECT 'delete', old.number, old.content WHERE old.status <> 'streaming';
    INSERT INTO message_search (rowid, content)
    SELECT new.number, new.content WHERE new.status <> 'streaming';
END;
CREATE TRIGGER message_removed AFTER DELETE ON messages WHEN old.status <> 'streaming' BEGIN
    INSERT INTO message_search (message_search, rowid, content)
    VALUES ('delete', old.number, old.content);
END;
"""

# - `owner` is a key's id, or empty for callers that need no key; `said` is JSON, as `settings` are.
_PREFERENCES = """
CREATE TABLE preferences (owner TEXT PRIMARY KEY, said TEXT NOT NULL) STRICT, WITHOUT ROWID;
"""

# - The row of `storage` counts changes (`disk/commit_record.py`), and has the time that chats age
#   by (`age_clock.py`). `vacuumed`: the file has nothing of what was deleted before this step.
# - `deleted_age` and `idle_age` are by that time: when a deletion was first seen, and since when
#   nothing happens; `idle_update` is the `updated_at` that `idle_age` is of.
# - Ids that could not stand in an address, and so not be opened or deleted, are replaced.
# - `kept_copies` has the files that upgrades and restores kept, and when they were first seen.
# - An index with `secure-delete` has nothing left of what was deleted from it.
_SAFETY = """
PRAGMA application_id = 0x4170706c;

ALTER TABLE sessions ADD COLUMN deleted_age INTEGER;
ALTER TABLE sessions ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN idle_age INTEGER;
ALTER TABLE sessions ADD COLUMN idle_update INTEGER;

ALTER TABLE messages ADD COLUMN checksum INTEGER;
UPDATE messages SET checksum = message_checksum(role, content, reasoning);

CREATE TABLE renamed (old TEXT PRIMARY KEY, new TEXT NOT NULL);
INSERT INTO renamed
SELECT id, 'chat-' || lower(hex(randomblob(8))) FROM sessions WHERE {bad};
PRAGMA defer_foreign_keys = ON;
UPDATE sessions SET id = (SELECT new FROM renamed WHERE old = id)
WHERE id IN (SELECT old FROM renamed);
UPDATE messages SET session_id = (SELECT new FROM renamed WHERE old = session_id)
WHERE session_id IN (SELECT old FROM renamed);
DELETE FROM renamed;
INSERT INTO renamed
SELECT id, 'message-' || lower(hex(randomblob(8))) FROM messages WHERE {bad};
UPDATE messages SET id = (SELECT new FROM renamed WHERE old = id)
WHERE id IN (SELECT old FROM renamed);
UPDATE messages SET parent_id = (SELECT new FROM renamed WHERE old = parent_id)
WHERE parent_id IN (SELECT old FROM renamed);
UPDATE sessions SET leaf_id = (SELECT new FROM renamed WHERE old = leaf_id)
WHERE leaf_id IN (SELECT old FROM renamed);
DROP TABLE renamed;

CREATE TABLE storage (
    number INTEGER PRIMARY KEY,
    database TEXT NOT NULL,
    commits INTEGER NOT NULL,
    committed_at INTEGER NOT NULL,
    age INTEGER NOT NULL DEFAULT 0,
    wall INTEGER NOT NULL DEFAULT 0,
    vacuumed INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO storage (number, database, commits, committed_at)
VALUES (1, lower(hex(randomblob(8))), 0, 0);

CREATE TABLE notices (
    number INTEGER PRIMARY KEY,
    code TEXT NOT NULL,
    at INTEGER NOT NULL,
    age INTEGER NOT NULL,
    message TEXT NOT NULL
) STRICT;
CREATE TABLE kept_copies (name TEXT PRIMARY KEY, age INTEGER NOT NULL) STRICT, WITHOUT ROWID;

INSERT INTO message_search (message_search, rank) VALUES ('secure-delete', 1);
INSERT INTO message_search (message_search) VALUES ('rebuild');
""".replace("{bad}", "id IN ('', '.', '..', 'import') OR id GLOB '*[ /?#%]*'")

# - `owner` is a key's id or an address; `age` is set when the response is first seen, by the time
#   that chats age by; the two texts are JSON, and come last since they are long.
_RESPONSES = """
CREATE TABLE responses (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    previous_id TEXT,
    age INTEGER,
    input TEXT NOT NULL,
    response TEXT NOT NULL
) STRICT;
CREATE INDEX responses_by_age ON responses (age);
"""

# - `client_id` is what a client calls a session, of those that choose ids themselves: any text.
#   `client_owner` is the id of the client's key, or empty where it has none.
# - A deleted session keeps its own, which is free for another meanwhile.
_CLIENT_IDS = """
ALTER TABLE sessions ADD COLUMN client_id TEXT;
ALTER TABLE sessions ADD COLUMN client_owner TEXT NOT NULL DEFAULT '';
CREATE UNIQUE INDEX sessions_by_client ON sessions (client_id, client_owner)
WHERE client_id IS NOT NULL AND deleted_at IS NULL;
"""

# - `confirmed_ttl`: somebody agreed that chats expire after so many seconds; null: nobody did.
_CONFIRMED_EXPIRY = """
ALTER TABLE storage ADD COLUMN confirmed_ttl REAL;
"""

# - `plan` is there while a response is under way: what the next start needs to go on with it.
# - `log` has what the model wrote so far. It stays where a stream may be read once more.
_RESPONSES_UNDER_WAY = """
ALTER TABLE responses ADD COLUMN plan BLOB;
ALTER TABLE responses ADD COLUMN log BLOB;
CREATE INDEX responses_under_way ON responses (number) WHERE plan IS NOT NULL;
"""

# - `state` is JSON; `status` stands beside it for finding those that have not ended.
# - A line's `result` is JSON; none: it has none yet. `ok`: whether that is an answer.
_BATCHES = """
CREATE TABLE files (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    age INTEGER,
    state TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT;
CREATE INDEX files_by_owner ON files (owner);
CREATE INDEX files_by_age ON files (age);
CREATE TABLE batches (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    age INTEGER,
    status TEXT NOT NULL,
    state TEXT NOT NULL
) STRICT;
CREATE INDEX batches_by_owner ON batches (owner);
CREATE INDEX batches_by_age ON batches (age);
CREATE INDEX open_batches ON batches (number) WHERE status IN ('in_progress', 'cancelling');
CREATE TABLE batch_lines (
    batch_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    custom_id TEXT NOT NULL,
    ok INTEGER,
    body TEXT NOT NULL,
    result TEXT,
    PRIMARY KEY (batch_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX lines_to_do ON batch_lines (batch_id, number) WHERE result IS NULL;
"""

# - `owner` is a key's id, or empty for callers that need no key. A folder's `settings` are JSON, as
#   a session's; a new chat in it begins with them.
# - A draft is what somebody has typed and not sent; of a new chat, `session_id` is empty.
# - `revision` counts what changes in a chat other than by messages that are added.
# - `session_changes` has each session's last change. One that is gone stays in it until the next
#   start, so that pages which list it can be informed (`sessions.py`).
_ORDER = """
CREATE TABLE folders (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT
) STRICT;
CREATE INDEX folders_by_owner ON folders (owner);
ALTER TABLE sessions ADD COLUMN folder_id TEXT REFERENCES folders (id) ON DELETE SET NULL;
ALTER TABLE sessions ADD COLUMN revision INTEGER;
CREATE INDEX sessions_by_folder ON sessions (folder_id) WHERE folder_id IS NOT NULL;

CREATE TABLE drafts (
    owner TEXT NOT NULL,
    session_id TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (owner, session_id)
) STRICT;
CREATE INDEX drafts_by_session ON drafts (session_id);

CREATE TABLE session_changes (
    revision INTEGER PRIMARY KEY AUTOINCREMENT,
    session_id TEXT NOT NULL UNIQUE
) STRICT;
CREATE TRIGGER session_made AFTER INSERT ON sessions BEGIN
    DELETE FROM session_changes WHERE session_id = new.id;
    INSERT INTO session_changes (session_id) VALUES (new.id);
END;
CREATE TRIGGER session_changed AFTER UPDATE OF
    title, pinned, updated_at, leaf_id, settings, deleted_at, client_id, folder_id, revision
ON sessions BEGIN
    DELETE FROM session_changes WHERE session_id = new.id;
    INSERT INTO session_changes (session_id) VALUES (new.id);
END;
CREATE TRIGGER session_removed AFTER DELETE ON sessions BEGIN
    DELETE FROM session_changes WHERE session_id = old.id;
    INSERT INTO session_changes (session_id) VALUES (old.id);
    DELETE FROM drafts WHERE session_id = old.id;
END;
"""

_PRESETS = """
CREATE TABLE presets (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    settings TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (owner, name)
) STRICT;
"""

_DROPPED_BY = "ALTER TABLE messages ADD COLUMN dropped_by TEXT"

# - `name` as names are compared; `state` is JSON. A table of two columns would be taken for the
#   preferences where pages are read without SQLite.
_DERIVED_MODELS = """
CREATE TABLE derived_models (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;
"""

# - A file's content is in pieces, so that no more than one is in memory; `content` of `files` is
#   empty but for files of older versions.
_FILE_PIECES = """
CREATE TABLE file_pieces (
    number INTEGER PRIMARY KEY,
    file_number INTEGER NOT NULL REFERENCES files (number) ON DELETE CASCADE,
    content BLOB NOT NULL
) STRICT;
CREATE INDEX pieces_of_file ON file_pieces (file_number, number);
"""

# - What is new of a growing response, behind its `log`: so a write is as large as what is new.
_RESPONSE_PIECES = """
CREATE TABLE response_pieces (
    number INTEGER PRIMARY KEY,
    response_number INTEGER NOT NULL REFERENCES responses (number) ON DELETE CASCADE,
    log BLOB NOT NULL
) STRICT;
CREATE INDEX pieces_of_response ON response_pieces (response_number, number);
"""

# - `removed_at`: the message was taken out of its chat, which can be undone; it is not visible.
#   `removed_with` is the message that was named, `removed_age` when that was first seen.
# - What follows a removed message follows the one before it; `moved_from` is what it followed.
# - `edited`: a person wrote this version. `sent` is JSON, of replies: see `records.Sent`.
_CHANGED_MESSAGES = """
ALTER TABLE messages ADD COLUMN removed_at INTEGER;
ALTER TABLE messages ADD COLUMN removed_age INTEGER;
ALTER TABLE messages ADD COLUMN removed_with TEXT;
ALTER TABLE messages ADD COLUMN moved_from TEXT;
ALTER TABLE messages ADD COLUMN edited INTEGER;
ALTER TABLE messages ADD COLUMN sent TEXT;
CREATE INDEX removed_messages ON messages (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX moved_messages ON messages (moved_from) WHERE moved_from IS NOT NULL;
"""

# - A file is there once for each owner and content; `hash` is SHA-256, or names the upload that is
#   still under way. It goes with the last attachment that has it.
# - `content` in pieces: a large one would be read and written as a whole. Texts in pieces are what
#   the index is made of, so that a hit is found without looking through all of a book.
# - An attachment without a message was not sent yet; `age` as in `files`. `shown`: how many
#   characters the model was shown of it; none: all of them, or it was not sent.
_ATTACHMENTS = """
CREATE TABLE attached_files (
    number INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    hash TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    kind TEXT,
    pages INTEGER,
    characters INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner, hash)
) STRICT;
CREATE TABLE attached_chunks (
    number INTEGER PRIMARY KEY,
    file INTEGER NOT NULL REFERENCES attached_files (number) ON DELETE CASCADE,
    content BLOB NOT NULL
) STRICT;
CREATE INDEX chunks_by_file ON attached_chunks (file);
CREATE TABLE attached_texts (
    number INTEGER PRIMARY KEY,
    file INTEGER NOT NULL REFERENCES attached_files (number) ON DELETE CASCADE,
    content TEXT NOT NULL
) STRICT;
CREATE INDEX texts_by_file ON attached_texts (file);
CREATE TABLE attachments (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    file INTEGER NOT NULL REFERENCES attached_files (number),
    message_id TEXT REFERENCES messages (id) ON DELETE CASCADE,
    age INTEGER,
    shown INTEGER,
    name TEXT NOT NULL
) STRICT;
CREATE INDEX attachments_by_message ON attachments (message_id);
CREATE INDEX attachments_by_file ON attachments (file);
CREATE TRIGGER attachment_removed AFTER DELETE ON attachments BEGIN
    DELETE FROM attached_files WHERE number = old.file
    AND NOT EXISTS (SELECT 1 FROM attachments WHERE file = old.file);
END;
CREATE TRIGGER attachment_moved AFTER UPDATE OF file ON attachments
WHEN old.file <> new.file BEGIN
    DELETE FROM attached_files WHERE number = old.file
    AND NOT EXISTS (SELECT 1 FROM attachments WHERE file = old.file);
END;

CREATE VIRTUAL TABLE attached_search USING fts5 (
    content,
    content = 'attached_texts',
    content_rowid = 'number',
    tokenize = 'trigram remove_diacritics 1',
    detail = none
);
INSERT INTO attached_search (attached_search, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER attached_text_made AFTER INSERT ON attached_texts BEGIN
    INSERT INTO attached_search (rowid, content) VALUES (new.number, new.content);
END;
CREATE TRIGGER attached_text_removed AFTER DELETE ON attached_texts BEGIN
    INSERT INTO attached_search (attached_search, rowid, content)
    VALUES ('delete', old.number, old.content);
END;
"""

MIGRATIONS: Sequence[Migration] = (
    Migration("0001_sessions", _SESSIONS),
    Migration("0002_chats", _CHATS),
    Migration("0003_search", _SEARCH),
    Migration("0004_preferences", _PREFERENCES),
    Migration("0005_safety", _SAFETY),
    Migration("0006_responses", _RESPONSES),
    Migration("0007_client_ids", _CLIENT_IDS),
    Migration("0008_confirmed_expiry", _CONFIRMED_EXPIRY),
    Migration("0009_responses_under_way", _RESPONSES_UNDER_WAY),
    Migration("0010_batches", _BATCHES),
    Migration("0011_order", _ORDER),
    Migration("0012_presets", _PRESETS),
    Migration("0013_dropped_by", _DROPPED_BY),
    Migration("0014_derived_models", _DERIVED_MODELS),
    Migration("0015_file_pieces", _FILE_PIECES),
    Migration("0016_response_pieces", _RESPONSE_PIECES),
    Migration("0017_changed_messages", _CHANGED_MESSAGES),
    Migration("0018_attachments", _ATTACHMENTS),
)

_RECORD = "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at INTEGER) STRICT"


def migrate(database: Database, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Brings the schema up to date; a step and its record are kept together or not at all.

    Raises:
        StoreTooNew: steps were taken that this version does not know; nothing was touched.
        StoreError, StoreFull: a step failed; those before it stay taken.
    """
    for migration in pending(database, migrations):
        _apply(database, migration)


def pending(
    database: Database, migrations: Sequence[Migration] = MIGRATIONS
) -> Sequence[Migration]:
    """The steps that are still to be taken.

    Raises:
        StoreTooNew: steps were taken that this version does not know.
    """
    with database.read() as connection:
        applied = _applied(connection)
    unknown = sorted(applied - {migration.name for migration in migrations})
    if unknown:
        raise StoreTooNew(
            f"The database {database.path} was written by a newer version of the appliance "
            f"({', '.join(unknown)}). Update the appliance."
        )
    return [migration for migration in migrations if migration.name not in applied]


def _applied(connection: apsw.Connection) -> set[str]:
    if not connection.table_exists("main", "migrations"):
        return set()
    return {name for (name,) in connection.execute("SELECT name FROM migrations")}


def _apply(database: Database, migration: Migration) -> None:
    with database.write() as connection:
        # Another process may have been quicker.
        if migration.name in _applied(connection):
            return
        connection.execute(_RECORD)
        connection.execute(migration.sql)
        connection.execute(
            "INSERT INTO migrations (name, applied_at) VALUES (?, ?)",
            (migration.name, time.time_ns() // 1_000_000),
        )
