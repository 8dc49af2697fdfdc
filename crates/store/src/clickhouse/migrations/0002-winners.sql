-- For people who ask in SQL: one row an event, its largest version, whatever has been merged.
CREATE VIEW IF NOT EXISTS {database}.winners AS
SELECT
    source,
    id,
    tupleElement(winner, 1) AS revision,
    tupleElement(winner, 2) AS occurred_at,
    tupleElement(winner, 3) AS received_at,
    tupleElement(winner, 4) AS type,
    tupleElement(winner, 5) AS team,
    tupleElement(winner, 6) AS service,
    tupleElement(winner, 7) AS capability,
    tupleElement(winner, 8) AS content
FROM (
    SELECT
        source,
        id,
        argMax(
            (revision, occurred_at, received_at, type, team, service, capability, content),
            (revision, digest, -toUnixTimestamp64Micro(received_at))
        ) AS winner
    FROM {database}.events
    GROUP BY key, source, id
);
