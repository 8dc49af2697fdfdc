-- What the metrics said as of the end of each day, written by one replica. Of several rows about the same that with the largest version
-- counts. A row without `present` says that there is no such value any more.
CREATE TABLE IF NOT EXISTS {database}.metrics{local} (
    metric LowCardinality(String),
    labels_text String CODEC(ZSTD),
    day Date,
    value Nullable(Float64),
    low Nullable(Float64),
    high Nullable(Float64),
    numerator Nullable(UInt64),
    denominator Nullable(UInt64),
    seconds_p50 Nullable(UInt64),
    seconds_p90 Nullable(UInt64),
    counts Map(LowCardinality(String), Nullable(UInt64)),
    notes Array(LowCardinality(String)),
    config LowCardinality(String),
    written_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
    present Bool,
    fingerprint UInt64,
    version UInt128
)
ENGINE = ReplacingMergeTree(version)
ORDER BY (metric, labels_text, day)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1;

DISTRIBUTE metrics BY 0;

-- For people who ask in SQL, exact whatever has been merged.
CREATE VIEW IF NOT EXISTS {database}.metric_history (
    day Date COMMENT 'The value is as of the end of this day, in UTC. Of the present day: so far.',
    metric LowCardinality(String) COMMENT 'Its name, as in docs/metrics.md and in GET /v1/metrics.',
    capability String COMMENT 'Which capability it is about. Empty: it is about none, or all.',
    labels Map(String, String) COMMENT 'All that it is broken down by, such as labels[''slo'']. Empty: the whole installation.',
    value Nullable(Float64) COMMENT 'A share from 0 to 1, or a score from -100 to 100. NULL: there is none, which is not 0, or it is withheld, or the metric is of durations.',
    low Nullable(Float64) COMMENT 'Where the 95 % interval of the value begins.',
    high Nullable(Float64) COMMENT 'Where it ends.',
    numerator Nullable(UInt64) COMMENT 'What the share is made of, to be added up over days or capabilities: shares cannot be averaged.',
    denominator Nullable(UInt64) COMMENT 'The same. 0: there is no value.',
    seconds_p50 Nullable(UInt64) COMMENT 'Of metrics of durations: the median, in whole seconds. NULL: not reached, or there is none.',
    seconds_p90 Nullable(UInt64) COMMENT 'The same for nine tenths.',
    counts Map(LowCardinality(String), Nullable(UInt64)) COMMENT 'What is pending, what was left out and why, such as counts[''waiting'']. NULL: the metric has no such count, or it is not known.',
    notes Array(LowCardinality(String)) COMMENT 'mandated: use of the capability is mandated, so it is not adoption. withheld: about fewer persons than may be shown.',
    config LowCardinality(String) COMMENT 'The digest of the configuration it was calculated with.',
    written_at DateTime64(3, 'UTC') COMMENT 'When it came to be what it is: late events change the past.'
)
AS SELECT
    day, metric, JSONExtractString(labels_text, 'capability') AS capability,
    JSONExtract(labels_text, 'Map(String, String)') AS labels,
    value, low, high, numerator, denominator, seconds_p50, seconds_p90, counts, notes, config, written_at
FROM {database}.metrics FINAL
WHERE present;

-- The present day of it.
CREATE VIEW IF NOT EXISTS {database}.metric_today
AS SELECT * FROM {database}.metric_history WHERE day = toDate(now('UTC'));
