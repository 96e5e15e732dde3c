//! One key many times in each batch, and in batches of several partitions at once.

use std::fs;

use aqueduct::demo::simulator::{Options, Simulator};

use crate::{
    job::{Brokers, Job, PipelineText, ledger_counts},
    postgres::TestPostgres,
};

#[test]
fn keys_that_repeat_in_batches_of_three_partitions_at_once_end_with_a_partitions_last_offset() {
    // Of its own, for its count of deadlocks.
    let server = TestPostgres::private_with(&[("deadlock_timeout", "200ms")]);
    let simulator = Simulator::start(Options::default()).unwrap();
    let sql = "SELECT nat, _partition AS part, _offset AS place, login.uuid AS uuid FROM records";
    let pipeline = PipelineText {
        mode: "upsert",
        key: "[\"nat\"]",
        rows: 200,
        sql: sql.into(),
        ..PipelineText::users("same-key", &simulator.url(), 500, 12)
    };
    let table = pipeline.table.clone();
    let job = Job::new(server.database(), &Brokers::Embedded, &[pipeline]);
    let path = job.dir.path().join("config.toml");
    let more = format!(
        "[[pipeline.table]]\nname = \"versions\"\nmode = \"append\"\ncreate = true\nsql = \"{sql}\"\n\
         [pipeline.actors]\nconsumers = 3\ntransformers = 3\nwriters = 3\n"
    );
    fs::write(&path, fs::read_to_string(&path).unwrap() + &more).unwrap();
    let ledger = job.run_once();
    assert_eq!(
        ledger_counts(&ledger),
        [6_000, 6_000, 6_000, 6_000, 0, 0, 0, 0],
        "{ledger}"
    );
    assert_eq!(job.count("SELECT count(DISTINCT uuid) FROM versions"), 6_000);
    // 21 nations share 6,000 records: each is in every batch of 200, many times, in each of the three partitions.
    assert_eq!(
        job.count("SELECT min(num) FROM (SELECT count(DISTINCT part) AS num FROM versions GROUP BY nat) AS n"),
        3
    );
    assert_eq!(job.count(&format!("SELECT count(*) FROM {table}")), 21);
    let last = format!(
        "SELECT count(*) FROM {table} AS t WHERE EXISTS (SELECT FROM versions AS v WHERE v.nat = t.nat AND v.uuid = t.uuid) \
         AND place = (SELECT max(place) FROM versions AS v WHERE v.nat = t.nat AND v.part = t.part)"
    );
    assert_eq!(job.count(&last), 21);
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    assert_eq!(job.count(deadlocks), 0);
    let log = fs::read_to_string(job.dir.path().join("once.log")).unwrap();
    assert!(
        !log.contains("21000") && !log.contains("waiting for PostgreSQL"),
        "{log}"
    );
    assert_eq!(job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
}
