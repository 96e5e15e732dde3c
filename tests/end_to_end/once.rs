//! `--once` ends, with nothing left behind.

use aqueduct::demo::simulator::{Options, Simulator};

use crate::{
    job::{Brokers, Job, PipelineText},
    kafka::{TestKafka, unique},
    postgres::TestDatabase,
};

#[test]
fn once_ends_with_no_lag_at_the_end_of_transactional_partitions() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let name = unique("once");
    let pipeline = PipelineText::users(&name, &simulator.url(), 100, 7);
    let table = pipeline.table.clone();
    let kafka = TestKafka::shared().address();
    let job = Job::new(TestDatabase::empty(), &Brokers::Kafka(kafka.to_owned()), &[pipeline]);
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    assert_eq!(job.count(&format!("SELECT count(*) FROM {table}")), 700);
    // Records and transaction markers: the offset lies beyond the last record.
    assert!(job.count("SELECT sum(next_offset) FROM aqueduct.offsets") > 700);
    // A second run finds the source at its end.
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    assert_eq!(job.count(&format!("SELECT count(*) FROM {table}")), 700);
}

#[test]
fn a_daemon_stops_in_order_when_it_is_asked() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let name = unique("stop");
    let pipeline = PipelineText::users(&name, &simulator.url(), 100, 3);
    let table = pipeline.table.clone();
    let job = Job::new(TestDatabase::empty(), &Brokers::Embedded, &[pipeline]);
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    crate::postgres::wait_for("all rows", crate::job::LIMIT, || {
        job.try_count(&format!("SELECT count(*) FROM {table}")) == Some(300)
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}
