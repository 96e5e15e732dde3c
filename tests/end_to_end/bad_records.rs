//! A bad record costs one row: it alone goes to the dead letters, with payload, position, stage and reason. An outage of
//! PostgreSQL costs none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use aqueduct::demo::simulator::{Corrupt, Options, Simulator, expected_uuids};

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText, ledger_counts},
    kafka::{TestKafka, unique},
    postgres::{TestPostgres, wait_for},
};

const RESULTS: u64 = 1_000;
/// Pages with bad records, and as many good ones after them.
const PAGES: u64 = 10;

/// One way to be bad.
struct Kind {
    name: &'static str,
    /// Fields that the bad record has and the good ones have not.
    fields: &'static str,
    stage: &'static str,
    reason: &'static str,
}

const KINDS: [Kind; 17] = [
    kind("not-an-object", "", "ingest", "not a JSON object"),
    kind("too-large", "", "ingest", "raise max.message.bytes"),
    kind(
        "rounded",
        r#""whole":1.7"#,
        "decode",
        "found 1.7, which would have to be rounded",
    ),
    kind(
        "infinite",
        r#""huge":1e400"#,
        "decode",
        "found 1e400, which is out of range",
    ),
    kind(
        "written-twice",
        r#""word":"a","word":"b""#,
        "decode",
        "appears twice in one object",
    ),
    kind("failed-cast", r#""digits":"twelve""#, "transform", "twelve"),
    kind("overflow", r#""big":9223372036854775807"#, "transform", "verflow"),
    kind("nul", r#""word":"a\u0000b""#, "transform", "U+0000"),
    kind("no-uuid", r#""other_uuid":"nobody""#, "write", "22P02"),
    kind("out-of-range", r#""small":40000"#, "write", "22003"),
    kind("too-long", r#""code":"far too long""#, "write", "22001"),
    kind("not-null", r#""mood":"none""#, "write", "23502"),
    kind("check", r#""level":11"#, "write", "23514"),
    kind("unique", r#""ticket":"taken""#, "write", "23505"),
    kind("foreign-key", r#""parent":99"#, "write", "23503"),
    kind("exclusion", r#""room":1"#, "write", "23P01"),
    kind("trigger", r#""mood":"raise""#, "write", "P0001"),
];

const fn kind(name: &'static str, fields: &'static str, stage: &'static str, reason: &'static str) -> Kind {
    Kind {
        name,
        fields,
        stage,
        reason,
    }
}

const SCHEMA: &str = "login STRUCT<uuid: STRING>, nat STRING, whole BIGINT, huge DOUBLE, word STRING, digits STRING, \
    big BIGINT, other_uuid STRING, small INT, code STRING, mood STRING, level INT, ticket STRING, parent INT, room INT";

const SQL: &str = "SELECT coalesce(other_uuid, login.uuid) AS uuid, CASE WHEN mood = 'none' THEN NULL ELSE nat END AS nat, \
    whole, huge, word, CAST(digits AS INT) AS digits, big * 4 AS big, small, code, mood, level, ticket, parent, room \
    FROM records";

/// A row is there already, which takes a ticket and a room.
fn create(table: &str) -> String {
    format!(
        "CREATE TABLE parents (id int PRIMARY KEY); \
         CREATE TABLE {table} (uuid uuid PRIMARY KEY, nat text NOT NULL, whole bigint, huge float8, word text, digits int, \
         big bigint, small smallint, code varchar(3), mood text, level int CHECK (level <= 10), ticket text UNIQUE, \
         parent int REFERENCES parents, room int, EXCLUDE (room WITH =)); \
         INSERT INTO {table} (uuid, nat, ticket, room) VALUES (gen_random_uuid(), 'XX', 'taken', 1); \
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$BEGIN RAISE EXCEPTION 'not in this mood'; END$$; \
         CREATE TRIGGER moody BEFORE INSERT ON {table} FOR EACH ROW WHEN (NEW.mood = 'raise') EXECUTE FUNCTION refuse()"
    )
}

/// Where the bad records are: page from 1, index from 0.
fn place(number: usize) -> (u64, usize) {
    (number as u64 % PAGES + 1, 53 * number + 7)
}

/// Opens when it is told to, or goes.
struct Gate(Arc<AtomicBool>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// The pages after the bad ones are not answered before the gate is open.
fn spoil(open: Arc<AtomicBool>) -> Corrupt {
    Arc::new(move |page, index, record| {
        while page > PAGES && !open.load(Ordering::SeqCst) {
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let number = (0..KINDS.len()).find(|number| place(*number) == (page, index))?;
        let Kind { name, fields, .. } = &KINDS[number];
        let begins = |fields: &str| record.replacen('{', &format!("{{\"kind\":\"{name}\",{fields},"), 1);
        Some(match *name {
            "not-an-object" => format!("[\"kind\",\"{name}\"]"),
            "too-large" => begins(&format!("\"word\":\"{}\"", "x".repeat(1_200_000))),
            _ => begins(fields),
        })
    })
}

#[test]
fn seventeen_differently_bad_records_in_ten_thousand_cost_seventeen_rows_and_an_outage_costs_none() {
    let mut server = TestPostgres::private();
    let open = Arc::default();
    let simulator = Simulator::start(Options {
        corrupt: Some(spoil(Arc::clone(&open))),
        ..Options::default()
    })
    .unwrap();
    // Dropped before the simulator, which would wait for its pages.
    let gate = Gate(open);
    let name = unique("bad");
    let pipeline = PipelineText {
        schema: SCHEMA.into(),
        sql: SQL.into(),
        ..PipelineText::users(&name, &simulator.url(), RESULTS, 2 * PAGES)
    };
    let table = pipeline.table.clone();
    let brokers = Brokers::Kafka(TestKafka::shared().address().to_owned());
    let job = Job::new(server.database(), &brokers, &[pipeline]);
    job.database.execute(&create(&table));
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    let consumed = "SELECT coalesce(sum(consumed), 0) FROM aqueduct.offsets";
    wait_for("ten thousand records have their fate", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        job.try_count(consumed).unwrap_or(0) >= 10_000
    });
    assert_eq!(job.count("SELECT sum(applied) FROM aqueduct.offsets"), 9_983);
    each_has_its_letter(&job, &name);
    rows_are_those_of_good_records(&job, &name, &table, PAGES);

    // More good records come while PostgreSQL is away.
    server.stop();
    drop(gate);
    wait_for("rows wait for PostgreSQL", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        daemon.log().contains("waiting for PostgreSQL")
    });
    server.start();
    wait_for("twenty thousand records have their fate", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        job.try_count(consumed).unwrap_or(0) >= 20_000
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    let ledger = job.run_once();
    assert_eq!(
        ledger_counts(&ledger),
        [20_000, 20_000, 20_000, 19_983, 0, 17, 0, 0],
        "{ledger}"
    );
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    each_has_its_letter(&job, &name);
    rows_are_those_of_good_records(&job, &name, &table, 2 * PAGES);
}

fn each_has_its_letter(job: &Job, pipeline: &str) {
    assert_eq!(job.count("SELECT count(*) FROM aqueduct.dead_letters"), 17);
    for Kind {
        name, stage, reason, ..
    } in &KINDS
    {
        // What is too large travels on with the beginning of its payload.
        let letters = job.texts(&format!(
            "SELECT concat_ws('|', stage, topic, partition >= 0 AND record_offset >= 0, length(payload) > 20, reason) \
             FROM aqueduct.dead_letters \
             WHERE pipeline = '{pipeline}' AND convert_from(payload, 'UTF8') ~ '\"kind\".\"{name}\"'"
        ));
        assert_eq!(letters.len(), 1, "{name}: {letters:?}");
        assert!(
            letters[0].starts_with(&format!("{stage}|{pipeline}|t|t|")),
            "{name}: {letters:?}"
        );
        assert!(letters[0].contains(reason), "{name}: {letters:?}");
    }
}

fn rows_are_those_of_good_records(job: &Job, seed: &str, table: &str, pages: u64) {
    let bad: Vec<(u64, usize)> = (0..KINDS.len()).map(place).collect();
    let mut expected: Vec<String> = (1..=pages)
        .flat_map(|page| {
            let uuids = expected_uuids(seed, [page], RESULTS).into_iter().enumerate();
            uuids.map(move |(index, uuid)| ((page, index), uuid.to_string()))
        })
        .filter(|(place, _)| !bad.contains(place))
        .map(|(_, uuid)| uuid)
        .collect();
    expected.sort();
    let found = job.texts(&format!("SELECT uuid FROM {table} WHERE nat <> 'XX'"));
    assert!(
        found == expected,
        "{} rows, {} good records",
        found.len(),
        expected.len()
    );
}
