-- Why: each record is to reach the user's table exactly once, or the dead letters with the reason. That holds only if
-- three things are committed in the same transaction as the rows: how far the partition has been read (with the fence
-- that keeps earlier owners out), what was refused, and the counts that prove that nothing is missing. So they live here,
-- beside the rows, and not in the log.
--
-- The schema `aqueduct` itself is made by `aqueduct migrate`, which also keeps its list of migrations in it
-- (`aqueduct.__diesel_schema_migrations`), apart from the user's own list in their search path.

CREATE TABLE aqueduct.offsets (
    pipeline text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    topic_id uuid NOT NULL,
    epoch bigint NOT NULL,
    next_offset bigint NOT NULL,
    owner text NOT NULL,
    backend_pid integer NOT NULL,
    consumed bigint NOT NULL DEFAULT 0,
    applied bigint NOT NULL DEFAULT 0,
    filtered bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    skipped bigint NOT NULL DEFAULT 0,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, topic, partition)
)
-- Each row is updated once a batch, many times a second: room on the page keeps these updates off the index.
WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON SCHEMA aqueduct IS 'What aqueduct commits together with the rows that it loads';
COMMENT ON TABLE aqueduct.offsets IS 'How far each partition is loaded, who may move that, and what became of its records';
COMMENT ON COLUMN aqueduct.offsets.pipeline IS 'The pipeline''s name in config.toml';
COMMENT ON COLUMN aqueduct.offsets.topic IS 'The topic''s name';
COMMENT ON COLUMN aqueduct.offsets.partition IS 'The partition''s number';
COMMENT ON COLUMN aqueduct.offsets.topic_id IS 'The topic''s identity: a topic that was deleted and made again has another one, and its offsets begin anew';
COMMENT ON COLUMN aqueduct.offsets.epoch IS 'The fence: the number of the last claim; only its owner moves next_offset';
COMMENT ON COLUMN aqueduct.offsets.next_offset IS 'Every record below it is in the tables, filtered, skipped or in the dead letters';
COMMENT ON COLUMN aqueduct.offsets.owner IS 'The daemon that made the last claim';
COMMENT ON COLUMN aqueduct.offsets.backend_pid IS 'The server process that last claimed or moved the row';
COMMENT ON COLUMN aqueduct.offsets.consumed IS 'Records taken from the log = applied + filtered + dead + skipped';
COMMENT ON COLUMN aqueduct.offsets.applied IS 'Records of which at least one row was written, or found equal, or superseded';
COMMENT ON COLUMN aqueduct.offsets.filtered IS 'Records that the SQL left out';
COMMENT ON COLUMN aqueduct.offsets.dead IS 'Records in the dead letters';
COMMENT ON COLUMN aqueduct.offsets.skipped IS 'Records that an operator skipped with aqueduct offsets skip';
COMMENT ON COLUMN aqueduct.offsets.claimed_at IS 'When the last claim was made';
COMMENT ON COLUMN aqueduct.offsets.updated_at IS 'When the row was last claimed or moved';

CREATE TABLE aqueduct.dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    topic text NOT NULL,
    topic_id uuid NOT NULL,
    partition integer NOT NULL,
    record_offset bigint NOT NULL,
    stage text NOT NULL,
    reason text NOT NULL,
    sqlstate text,
    table_name text,
    key bytea,
    payload bytea,
    headers jsonb NOT NULL DEFAULT '[]',
    record_timestamp timestamptz,
    failed_at timestamptz NOT NULL DEFAULT now(),
    -- A record dies once: whatever is written again after a crash meets this key.
    UNIQUE (pipeline, topic, topic_id, partition, record_offset)
);

COMMENT ON TABLE aqueduct.dead_letters IS 'Records that could not be loaded, each with the reason';
COMMENT ON COLUMN aqueduct.dead_letters.id IS 'The dead letter''s number, for the command line';
COMMENT ON COLUMN aqueduct.dead_letters.pipeline IS 'The pipeline''s name in config.toml';
COMMENT ON COLUMN aqueduct.dead_letters.topic IS 'The topic in which the record lies';
COMMENT ON COLUMN aqueduct.dead_letters.topic_id IS 'The topic''s identity';
COMMENT ON COLUMN aqueduct.dead_letters.partition IS 'The partition in which the record lies';
COMMENT ON COLUMN aqueduct.dead_letters.record_offset IS 'The record''s offset in its partition';
COMMENT ON COLUMN aqueduct.dead_letters.stage IS 'Who refused it: ingest, decode, transform or write';
COMMENT ON COLUMN aqueduct.dead_letters.reason IS 'Why, in a sentence';
COMMENT ON COLUMN aqueduct.dead_letters.sqlstate IS 'PostgreSQL''s error code, where PostgreSQL refused it';
COMMENT ON COLUMN aqueduct.dead_letters.table_name IS 'The table whose query or constraint refused it';
COMMENT ON COLUMN aqueduct.dead_letters.key IS 'The message key as it lies in the log';
COMMENT ON COLUMN aqueduct.dead_letters.payload IS 'The payload as it lies in the log; null = tombstone';
COMMENT ON COLUMN aqueduct.dead_letters.headers IS 'An array of {"name", "value"}; a value that is not text stands as {"name", "hex"}';
COMMENT ON COLUMN aqueduct.dead_letters.record_timestamp IS 'The record''s timestamp in the log';
COMMENT ON COLUMN aqueduct.dead_letters.failed_at IS 'When it was refused';

CREATE TABLE aqueduct.row_counts (
    pipeline text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    table_name text NOT NULL,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    superseded bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (pipeline, topic, partition, table_name)
)
WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE aqueduct.row_counts IS 'What became of the rows of each table; a row a partition, so that writers do not wait for each other';
COMMENT ON COLUMN aqueduct.row_counts.pipeline IS 'The pipeline''s name in config.toml';
COMMENT ON COLUMN aqueduct.row_counts.topic IS 'The topic''s name';
COMMENT ON COLUMN aqueduct.row_counts.partition IS 'The partition''s number';
COMMENT ON COLUMN aqueduct.row_counts.table_name IS 'The table''s name in config.toml';
COMMENT ON COLUMN aqueduct.row_counts.inserted IS 'Rows that were new';
COMMENT ON COLUMN aqueduct.row_counts.updated IS 'Rows that replaced an older version';
COMMENT ON COLUMN aqueduct.row_counts.unchanged IS 'Rows that were there already, equal in every column of the query';
COMMENT ON COLUMN aqueduct.row_counts.superseded IS 'Rows that a later record of the same batch replaced before they were written';
