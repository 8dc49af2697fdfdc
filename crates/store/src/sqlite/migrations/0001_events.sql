-- One row per version of an event, never changed and never deleted. `content` is the canonical JSON of
-- schemas/README.md. `revision` is an unsigned 64-bit number kept as a signed one: those from 2^63 on look negative.
CREATE TABLE event (
    seq         INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL, -- microseconds since 1970, UTC
    source      TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    content     TEXT    NOT NULL
) STRICT;

-- The 64-bit handle of an identity -> its versions. Identities may share a handle: compare `source` and `id`.
CREATE TABLE identity (
    key INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;

-- Versions that another one won over. The winners are all others.
CREATE TABLE superseded (
    seq INTEGER PRIMARY KEY
) STRICT;

-- Events that were refused. Numbers are never given twice and have no gaps, so what was dropped at the old end is known.
CREATE TABLE quarantine (
    number         INTEGER PRIMARY KEY AUTOINCREMENT,
    at             INTEGER NOT NULL, -- microseconds since 1970, UTC
    door           TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    field          TEXT    NOT NULL,
    message        TEXT    NOT NULL,
    source         TEXT,
    event_id       TEXT,
    payload_format TEXT,             -- 'json': text, 'protobuf': bytes
    payload        ANY
) STRICT;
