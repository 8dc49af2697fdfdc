-- For people who ask in SQL. It reads in the order of the table, so it holds little, and reads only the columns that are asked for.
CREATE VIEW IF NOT EXISTS {database}.winners
(
    source String COMMENT 'who says so',
    id String COMMENT 'unique within the source',
    revision UInt64 COMMENT 'a correction has a larger one',
    occurred_at DateTime64(6, 'UTC') COMMENT 'when it happened',
    received_at DateTime64(6, 'UTC') COMMENT 'when it was accepted',
    type String COMMENT 'what happened: deployed, capability_used, ...; retracted: it did not',
    team String COMMENT 'empty where the event names none',
    service String COMMENT 'empty where the event names none',
    capability String COMMENT 'empty where the event names none',
    content String COMMENT 'all it says, as JSON: JSONExtractString(content, ''body'', ''environment'')'
)
AS SELECT source, id, revision, occurred_at, received_at, type, team, service, capability, content
FROM {database}.events
ORDER BY key, source, id, revision DESC, digest DESC, received_at
LIMIT 1 BY key, source, id
SETTINGS optimize_read_in_order = 1
COMMENT 'One row an event: its largest version, whatever has been merged';
