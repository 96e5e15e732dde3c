-- Why: a dead letter can be replayed. One that is refused again stays, with its new reason, and whoever looks at it should
-- see that it was tried. A replay or a purge also moves the record's fate in the ledger, so that `dead` is at any time the
-- number of letters that lie here.

ALTER TABLE aqueduct.dead_letters ADD COLUMN attempts integer NOT NULL DEFAULT 1;

COMMENT ON COLUMN aqueduct.dead_letters.attempts IS 'How often it was refused: 1, and one more for each replay that failed';
COMMENT ON COLUMN aqueduct.dead_letters.failed_at IS 'When it was refused the last time';
COMMENT ON COLUMN aqueduct.offsets.skipped IS 'Records that an operator gave up: aqueduct offsets skip, aqueduct dead-letters purge';
