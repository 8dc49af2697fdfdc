-- CRC-32 of what the row says, as a signed number; src/sqlite/stored.rs says of what. Events of before there were any have none;
-- the losers, which are few, get theirs in this migration.
ALTER TABLE event ADD COLUMN crc INTEGER;
ALTER TABLE superseded ADD COLUMN crc INTEGER;

-- The first event that has a checksum, as have all after it.
CREATE TABLE checksum (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    first_seq INTEGER NOT NULL
) STRICT;

INSERT INTO checksum SELECT 1, ifnull(max(seq), 0) + 1 FROM event;

-- Digest of the keys in force, as 32 hex digits; NULL until the next start has seen them.
ALTER TABLE person_key ADD COLUMN fingerprint TEXT;
