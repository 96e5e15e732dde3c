COMMENT ON COLUMN aqueduct.offsets.skipped IS 'Records that an operator skipped with aqueduct offsets skip';
COMMENT ON COLUMN aqueduct.dead_letters.failed_at IS 'When it was refused';
ALTER TABLE aqueduct.dead_letters DROP COLUMN attempts;
