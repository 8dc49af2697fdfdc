-- Retention: what happened before the horizon is frozen. Absent as long as retention was never on.
CREATE TABLE horizon (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    at       INTEGER NOT NULL, -- microseconds since 1970, UTC; never goes back
    finished INTEGER NOT NULL, -- 1: no version dated before it has its content any more
    position INTEGER NOT NULL, -- a checkpoint that goes less far than to this event is of no use any more
    dropped  INTEGER NOT NULL  -- versions whose content was dropped
) STRICT;

-- The facts of the winners whose contents were dropped: encoded Models, whose sum counts. Nothing else is left of them, so
-- unlike a checkpoint this is no cache.
CREATE TABLE frozen (
    number  INTEGER PRIMARY KEY,
    form    INTEGER NOT NULL, -- of the encoding
    winners INTEGER NOT NULL, -- how many it is of
    model   BLOB    NOT NULL
) STRICT;

-- SHA-256 of the content, where that was dropped: `content` is empty then.
ALTER TABLE event ADD COLUMN digest BLOB;
