DROP TABLE identity;
DROP TABLE superseded;
ALTER TABLE superseded_by RENAME TO superseded;
