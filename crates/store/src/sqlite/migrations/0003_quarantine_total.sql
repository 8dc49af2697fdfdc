-- Refusals that are taken after all leave the quarantine, so its numbers have gaps: how much is in it is kept beside it, by
-- triggers, whoever changes it.
CREATE TABLE quarantine_total (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    rows    INTEGER NOT NULL,
    bytes   INTEGER NOT NULL, -- of all texts and payloads
    dropped INTEGER NOT NULL  -- refusals ever that had to make room or were too old
) STRICT;

INSERT INTO quarantine_total
SELECT 1, count(*),
       ifnull(sum(octet_length(field) + octet_length(message) + ifnull(octet_length(source), 0)
                  + ifnull(octet_length(event_id), 0) + ifnull(octet_length(payload), 0)), 0),
       0
FROM quarantine;

CREATE TRIGGER quarantine_in AFTER INSERT ON quarantine BEGIN
    UPDATE quarantine_total SET rows = rows + 1,
        bytes = bytes + octet_length(NEW.field) + octet_length(NEW.message) + ifnull(octet_length(NEW.source), 0)
                + ifnull(octet_length(NEW.event_id), 0) + ifnull(octet_length(NEW.payload), 0);
END;

CREATE TRIGGER quarantine_out AFTER DELETE ON quarantine BEGIN
    UPDATE quarantine_total SET rows = rows - 1,
        bytes = bytes - octet_length(OLD.field) - octet_length(OLD.message) - ifnull(octet_length(OLD.source), 0)
                - ifnull(octet_length(OLD.event_id), 0) - ifnull(octet_length(OLD.payload), 0);
END;

CREATE TRIGGER quarantine_reason AFTER UPDATE ON quarantine BEGIN
    UPDATE quarantine_total SET
        bytes = bytes + octet_length(NEW.field) + octet_length(NEW.message) + ifnull(octet_length(NEW.source), 0)
                + ifnull(octet_length(NEW.event_id), 0) + ifnull(octet_length(NEW.payload), 0)
                - octet_length(OLD.field) - octet_length(OLD.message) - ifnull(octet_length(OLD.source), 0)
                - ifnull(octet_length(OLD.event_id), 0) - ifnull(octet_length(OLD.payload), 0);
END;
