-- Why: a partition whose position is lost must not go on by itself. A log that has lost its end grows again, and is one day
-- longer than the old position: whoever looks only then sees nothing wrong, and the records below the position are
-- passed over in silence. So a stop is written down when it is found, and it holds until a person decides. The decision is
-- kept for good, because it is the only way in which records leave the ledger uncounted.

CREATE TABLE aqueduct.stops (
    pipeline text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    reason text NOT NULL CHECK (reason IN ('retention', 'log_end', 'topic_replaced', 'topic_absent')),
    lost_from bigint NOT NULL,
    lost_to bigint,
    log_end bigint,
    found text NOT NULL,
    stopped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pipeline, topic, partition)
);

COMMENT ON TABLE aqueduct.stops IS 'Partitions whose position is lost: they wait for aqueduct offsets skip';
COMMENT ON COLUMN aqueduct.stops.pipeline IS 'The pipeline''s name in config.toml';
COMMENT ON COLUMN aqueduct.stops.topic IS 'The topic''s name';
COMMENT ON COLUMN aqueduct.stops.partition IS 'The partition''s number';
COMMENT ON COLUMN aqueduct.stops.reason IS 'How the position was lost';
COMMENT ON COLUMN aqueduct.stops.lost_from IS 'The first lost offset: every record below it has its fate';
COMMENT ON COLUMN aqueduct.stops.lost_to IS 'The last lost offset; null = unknown';
COMMENT ON COLUMN aqueduct.stops.log_end IS 'Where a log that has lost its end ended when that was found: what comes there and later is new';
COMMENT ON COLUMN aqueduct.stops.found IS 'What was seen, in a sentence';
COMMENT ON COLUMN aqueduct.stops.stopped_at IS 'When it was found';

CREATE TABLE aqueduct.skips (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipeline text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    topic_id uuid NOT NULL,
    skipped_from bigint NOT NULL,
    new_topic_id uuid NOT NULL,
    skipped_to bigint NOT NULL,
    num_records bigint NOT NULL,
    num_uncounted_offsets bigint,
    reason text NOT NULL,
    skipped_by text NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT now()
);

COMMENT ON TABLE aqueduct.skips IS 'What operators skipped with aqueduct offsets skip';
COMMENT ON COLUMN aqueduct.skips.id IS 'The number of the skip';
COMMENT ON COLUMN aqueduct.skips.pipeline IS 'The pipeline''s name in config.toml';
COMMENT ON COLUMN aqueduct.skips.topic IS 'The topic''s name';
COMMENT ON COLUMN aqueduct.skips.partition IS 'The partition''s number';
COMMENT ON COLUMN aqueduct.skips.topic_id IS 'The identity of the topic in which skipped_from lies';
COMMENT ON COLUMN aqueduct.skips.skipped_from IS 'Where the partition stood: the first skipped offset';
COMMENT ON COLUMN aqueduct.skips.new_topic_id IS 'The identity of the topic in which skipped_to lies';
COMMENT ON COLUMN aqueduct.skips.skipped_to IS 'Where the partition goes on: the first offset that is not skipped';
COMMENT ON COLUMN aqueduct.skips.num_records IS 'Skipped records that were still in the log: the ledger counts them as skipped';
COMMENT ON COLUMN aqueduct.skips.num_uncounted_offsets IS 'Skipped offsets that were gone, so that nobody knows how many records they held; null = not even their number is known';
COMMENT ON COLUMN aqueduct.skips.reason IS 'Why the partition had stopped, in a sentence; or that it had not';
COMMENT ON COLUMN aqueduct.skips.skipped_by IS 'Who gave the command: user and host';
COMMENT ON COLUMN aqueduct.skips.skipped_at IS 'When';
