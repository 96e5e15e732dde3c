-- The offsets are lost: after the next `up` every partition is loaded again from its beginning.
-- The schema stays, because the list of migrations lives in it.
DROP TABLE aqueduct.row_counts;
DROP TABLE aqueduct.dead_letters;
DROP TABLE aqueduct.offsets;
COMMENT ON SCHEMA aqueduct IS NULL;
