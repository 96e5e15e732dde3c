//! Outages of Kafka, PostgreSQL and the API wait; they lose nothing, fill no dead letters and spend no restart.

use std::time::Duration;

use aqueduct::demo::simulator::{Options, Simulator};

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestPostgres, wait_for},
};

const RESULTS: u64 = 100;
const PAGES: u64 = 300;

#[test]
fn outages_of_kafka_postgresql_and_the_api_are_waited_out() {
    let mut kafka = TestKafka::private();
    let mut server = TestPostgres::private();
    let simulator = Simulator::start(Options {
        delay: Duration::from_millis(40),
        ..Options::default()
    })
    .unwrap();
    let name = unique("outage");
    let pipeline = PipelineText::users(&name, &simulator.url(), RESULTS, PAGES);
    let table = pipeline.table.clone();
    let job = Job::new(
        server.database(),
        &Brokers::Kafka(kafka.address().to_owned()),
        &[pipeline],
    );
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    let settled = || job.try_count(&format!("SELECT count(*) FROM {table}")).unwrap_or(0);
    let reach = |rows: i64, daemon: &mut crate::job::Daemon| {
        wait_for(&format!("{rows} rows"), LIMIT, || {
            assert!(daemon.is_running(), "{}", daemon.tail());
            settled() >= rows
        });
    };
    reach(1_000, &mut daemon);
    kafka.stop();
    std::thread::park_timeout(Duration::from_secs(2));
    kafka.start_again();
    let after_kafka = settled() + 3_000;
    reach(after_kafka, &mut daemon);
    server.stop();
    std::thread::park_timeout(Duration::from_secs(2));
    server.start();
    let after_postgres = settled() + 3_000;
    reach(after_postgres, &mut daemon);
    simulator.set_outage(true);
    std::thread::park_timeout(Duration::from_secs(2));
    simulator.set_outage(false);
    reach((RESULTS * PAGES).cast_signed(), &mut daemon);
    let mut status = None;
    wait_for("the ledger is closed", LIMIT, || {
        status = job.status("config.toml");
        status
            .as_ref()
            .is_some_and(|status| status["pipelines"][0]["ledger"]["pending"] == 0)
    });
    let status = status.unwrap();
    let pipeline = &status["pipelines"][0];
    assert_eq!(pipeline["ledger"]["produced"], 30_000);
    let offsets =
        job.texts("SELECT partition || ': ' || next_offset || ' consumed ' || consumed FROM aqueduct.offsets");
    let log = daemon.log();
    assert_eq!(pipeline["ledger"]["applied"], 30_000, "{offsets:?}\n{status:#}\n{log}");
    assert_eq!(pipeline["ledger"]["dead"], 0);
    for branch in pipeline["branches"].as_array().unwrap() {
        for actor in branch["children"].as_array().unwrap() {
            assert_eq!(actor["life"], 1, "an outage spent a restart: {actor:#}");
        }
    }
    assert_eq!(job.count(&format!("SELECT count(DISTINCT uuid) FROM {table}")), 30_000);
    assert_eq!(settled(), 30_000);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}
