//! A topic that gains partitions while it is read and written.

use aqueduct::demo::simulator::{Options, Simulator, expected_uuids};
use futures::executor::block_on;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
};

use crate::{
    door::edit_config,
    filled::Filled,
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

/// So that no test waits for the brokers' news.
const REFRESH: (&str, &str) = (
    "\"session.timeout.ms\"",
    "\"topic.metadata.refresh.interval.ms\" = 500\n\"session.timeout.ms\"",
);

#[test]
fn new_partitions_are_taken_up_from_their_first_record_without_a_restart() {
    let filled = Filled::new("grows", 1);
    edit_config(&filled.job, &[REFRESH]);
    filled.append(0, 0..10);
    let mut daemon = filled.start();
    filled.until_rows(10, &mut daemon);
    filled.grow(3);
    // There before anybody has claimed them.
    filled.append(1, 100..110);
    filled.append(2, 200..210);
    filled.until_rows(30, &mut daemon);
    for partition in 0..3 {
        let ids = i64::from(partition) * 100;
        filled.append(partition, ids + 10..ids + 20);
    }
    filled.until_rows(60, &mut daemon);
    assert_eq!(
        filled.ids(),
        (0..20).chain(100..120).chain(200..220).collect::<Vec<_>>()
    );
    let status = filled.status().unwrap();
    assert_eq!(status["lost"], serde_json::json!([]));
    for branch in status["branches"].as_array().unwrap() {
        for actor in branch["children"].as_array().unwrap() {
            assert_eq!(actor["life"], 1, "new partitions have cost a restart: {actor:#}");
        }
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

#[test]
fn a_pipeline_that_fetches_goes_on_into_the_new_partitions_and_its_ledger_adds_up() {
    const PAGES: u64 = 120;
    let simulator = Simulator::start(Options {
        delay: std::time::Duration::from_millis(30),
        ..Options::default()
    })
    .unwrap();
    let (name, brokers) = (unique("widens"), TestKafka::shared().address().to_owned());
    let pipeline = PipelineText::users(&name, &simulator.url(), 50, PAGES);
    let table = pipeline.table.clone();
    let job = Job::new(TestDatabase::empty(), &Brokers::Kafka(brokers.clone()), &[pipeline]);
    edit_config(&job, &[REFRESH]);
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    let rows = || job.try_count(&format!("SELECT count(*) FROM {table}")).unwrap_or(0);
    wait_for("it works", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        rows() > 500
    });
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    let options = AdminOptions::new().operation_timeout(Some(LIMIT));
    let grown = block_on(admin.create_partitions([&NewPartitions::new(&name, 5)], &options)).unwrap();
    grown[0].as_ref().unwrap();
    wait_for("all rows are there", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        rows() == 50 * PAGES.cast_signed()
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    let mut expected: Vec<String> = expected_uuids(&name, 1..=PAGES, 50)
        .iter()
        .map(ToString::to_string)
        .collect();
    expected.sort();
    assert!(job.texts(&format!("SELECT uuid FROM {table}")) == expected, "{ledger}");
    let num_new = job.count("SELECT count(*) FROM aqueduct.offsets WHERE partition >= 3 AND consumed > 0");
    assert_eq!(num_new, 2, "the new partitions were written to and read");
}
