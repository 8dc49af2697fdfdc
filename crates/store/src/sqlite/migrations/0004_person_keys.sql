-- How many of the keys that the data directory has for persons are in force: the pseudonyms here are made with the first of
-- them, and those again with each of the next ones.
CREATE TABLE person_key (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    in_force INTEGER NOT NULL
) STRICT;

INSERT INTO person_key VALUES (1, 1);
