-- A database as the step 0001_sessions left it, with chats in it. Never changed: later versions must read it.
BEGIN TRANSACTION;

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
INSERT INTO messages VALUES(1,'018bcfe5-73b8-72f8-99a1-dafcfd24b6e8','chat',NULL,'user','complete',NULL,NULL,1700000004000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'What is WAL?
In one line.');
INSERT INTO messages VALUES(2,'018bcfe5-7b88-7541-b606-89afc2633bd8','chat','018bcfe5-73b8-72f8-99a1-dafcfd24b6e8','assistant','complete','stop','smollm2',1700000006000,40,32,'slot',7,0,0.0,0.25,1.5,4294967295,NULL,NULL,'A log – written ahead.');
INSERT INTO messages VALUES(3,'018bcfe5-8740-7682-b0de-77e8433406ce','chat','018bcfe5-7b88-7541-b606-89afc2633bd8','user','complete',NULL,NULL,1700000009000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'And why?');
INSERT INTO messages VALUES(4,'018bcfe5-8f10-7277-a00d-219ecf30882f','chat','018bcfe5-8740-7682-b0de-77e8433406ce','assistant','failed',NULL,'smollm2',1700000011000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'worker_died','The model''s process ended.','Because');
INSERT INTO messages VALUES(5,'018bcfe5-9ac8-77b3-8fcb-736b926a21a3','chat','018bcfe5-7b88-7541-b606-89afc2633bd8','user','complete',NULL,NULL,1700000014000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'And why, again?');
INSERT INTO messages VALUES(6,'018bcfe5-a298-73c7-9df8-5421a26644fc','chat','018bcfe5-9ac8-77b3-8fcb-736b926a21a3','assistant','streaming',NULL,'smollm2',1700000016000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'So that');
CREATE UNIQUE INDEX live_replies ON messages (session_id) WHERE status = 'streaming';
CREATE INDEX messages_by_parent ON messages (parent_id);
CREATE INDEX messages_by_session ON messages (session_id);

CREATE TABLE migrations (name TEXT PRIMARY KEY, applied_at INTEGER) STRICT;
INSERT INTO migrations VALUES('0001_sessions',1700000000000);

CREATE TABLE sessions (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    leaf_id TEXT
) STRICT;
INSERT INTO sessions VALUES(1,'empty','Empty',1700000001000,1700000001000,NULL);
INSERT INTO sessions VALUES(2,'chat','What is WAL?',1700000002000,1700000016000,'018bcfe5-a298-73c7-9df8-5421a26644fc');
CREATE INDEX sessions_by_update ON sessions (updated_at);

COMMIT TRANSACTION;
