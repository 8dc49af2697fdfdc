-- Every version of every event. Only what came later of two records with the same version may go when parts are merged, so that whoever
-- asks what was there before an offset gets the same answer before and after. Granules are small, as versions are looked up by key, but every
-- merge pays for them.
CREATE TABLE IF NOT EXISTS {database}.events{local} (
    key UInt64,
    source String,
    id String,
    revision UInt64,
    digest FixedString(32),
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    earliest UInt64 MATERIALIZED bitNot(toUInt64(offset)),
    received_at DateTime64(6, 'UTC'),
    occurred_at DateTime64(6, 'UTC'),
    type LowCardinality(String),
    team LowCardinality(String),
    service LowCardinality(String),
    capability LowCardinality(String),
    content String CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(earliest)
ORDER BY (key, source, id, revision, digest, topic, partition)
SETTINGS index_granularity = 1024, min_compress_block_size = 16384, fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE events BY key;

-- The same in the order of the log, for those who follow it.
CREATE TABLE IF NOT EXISTS {database}.arrivals{local} (
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    key UInt64,
    source String CODEC(ZSTD),
    id String CODEC(ZSTD),
    revision UInt64,
    content String CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree
ORDER BY (topic, partition, offset)
SETTINGS index_granularity = 1024, min_compress_block_size = 16384, fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE arrivals BY key;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.arriving{local} TO {database}.arrivals{local}
AS SELECT topic, partition, offset, key, source, id, revision, content FROM {database}.events{local};

-- How far the log has been kept: of the largest epoch, the largest offset of each partition is that of its next record.
CREATE TABLE IF NOT EXISTS {database}.progress{local} (
    epoch UInt64,
    topic LowCardinality(String),
    partition Int32,
    offset UInt64
)
ENGINE = ReplacingMergeTree(offset)
ORDER BY (epoch, topic, partition)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE progress BY 0;

-- Refused events. The first three columns say where one came from; what comes again from there is the same.
CREATE TABLE IF NOT EXISTS {database}.quarantine{local} (
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    number UInt64,
    earliest UInt64 MATERIALIZED bitNot(number),
    at DateTime64(6, 'UTC'),
    door LowCardinality(String),
    reason LowCardinality(String),
    field String,
    message String,
    source Nullable(String),
    event_id Nullable(String),
    payload_format LowCardinality(String),
    payload String CODEC(ZSTD)
)
ENGINE = ReplacingMergeTree(earliest)
ORDER BY (topic, partition, offset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE quarantine BY 0;

-- Numbers of refused events that are in the quarantine no more.
CREATE TABLE IF NOT EXISTS {database}.settled{local} (number UInt64)
ENGINE = ReplacingMergeTree
ORDER BY number
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE settled BY 0;

-- What all replicas calculate with: the digest of the largest number, of several the smallest.
CREATE TABLE IF NOT EXISTS {database}.config{local} (
    number UInt64,
    digest String,
    at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(at)
ORDER BY (number, digest)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE config BY 0;
