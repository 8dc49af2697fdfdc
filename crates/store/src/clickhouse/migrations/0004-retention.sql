-- Retention. What a freeze has kept of events as facts: Models, in pieces, and which events these are. They count once `freezes` names the
-- attempt they are of; those of an attempt that was cut off are never looked at.
CREATE TABLE IF NOT EXISTS {database}.frozen{local} (
    attempt String,
    piece UInt32,
    form UInt32,
    model String CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY (attempt, piece)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE frozen BY 0;

CREATE TABLE IF NOT EXISTS {database}.frozen_events{local} (
    key UInt64,
    source String CODEC(ZSTD),
    id String CODEC(ZSTD),
    attempt LowCardinality(String)
)
ENGINE = ReplacingMergeTree
ORDER BY (key, source, id, attempt)
SETTINGS index_granularity = 1024, fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE frozen_events BY key;

-- Of each number the first that was written counts.
CREATE TABLE IF NOT EXISTS {database}.freezes{local} (
    number UInt32,
    attempt String,
    horizon DateTime64(6, 'UTC'),
    -- Topic, partition and the offset of the next record.
    -- Topic, partition and the offset of the next record.
    positions Array(Tuple(String, Int32, Int64)),
    pieces UInt32,
    events UInt64,
    at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = MergeTree
ORDER BY (number, at)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE freezes BY 0;
