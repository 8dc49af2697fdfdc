-- Identity leaves the database: the files `identity/<number>.run` hold the sorted (key, seq) of the events first_seq to
-- last_seq. The rows here say which files count, and their checksums; the files are a cache and made anew from `event`.
CREATE TABLE identity_run (
    number    INTEGER PRIMARY KEY,
    first_seq INTEGER NOT NULL,
    last_seq  INTEGER NOT NULL,
    checksum  INTEGER NOT NULL
) STRICT;

-- Versions that another one won over, and which one that was, when the later of the two came. The winners are all others.
CREATE TABLE superseded_by (
    seq INTEGER PRIMARY KEY,
    by  INTEGER NOT NULL
) STRICT;
