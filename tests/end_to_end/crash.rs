//! kill -9 at random moments, while the source fails one request in ten.

use std::time::Duration;

use aqueduct::demo::simulator::{Options, Simulator, expected_uuids};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText, ledger_counts},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

const RESULTS: u64 = 500;
const PAGES: u64 = 100;
const RECORDS: u64 = RESULTS * PAGES;
const KILLS: u64 = 20;

#[test]
fn kill_9_at_random_moments_loses_and_doubles_nothing_on_a_real_kafka() {
    killed_again_and_again(&Brokers::Kafka(TestKafka::shared().address().to_owned()));
}

#[test]
fn kill_9_at_random_moments_loses_and_doubles_nothing_on_the_embedded_log() {
    killed_again_and_again(&Brokers::Embedded);
}

fn killed_again_and_again(brokers: &Brokers) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let simulator = Simulator::start(Options {
        delay: Duration::from_millis(20),
        flaky: Some(seed),
        ..Options::default()
    })
    .unwrap();
    let name = unique("crash");
    let pipeline = PipelineText::users(&name, &simulator.url(), RESULTS, PAGES);
    let table = pipeline.table.clone();
    let job = Job::new(TestDatabase::empty(), brokers, &[pipeline]);
    let settled = || {
        job.try_count(&format!("SELECT count(*) FROM {table}"))
            .unwrap_or(0)
            .cast_unsigned()
    };
    for number in 0..KILLS {
        let mut daemon = job.start("config.toml", &["run"], "daemon.log");
        // Half of them in the middle of the work, half at any moment after the start.
        if number % 2 == 0 {
            let more = settled() + random.random_range(1..=2 * RECORDS / KILLS);
            wait_for("more rows, or all of them", LIMIT, || {
                assert!(daemon.is_running(), "kill {number}: {}", daemon.tail());
                settled() >= more.min(RECORDS)
            });
        } else {
            std::thread::park_timeout(Duration::from_millis(random.random_range(0..1_500)));
        }
        assert!(
            daemon.is_running(),
            "seed {seed}, kill {number}: it had ended by itself: {}",
            daemon.tail()
        );
        daemon.kill9();
    }
    let ledger = job.run_once();
    let mut expected: Vec<String> = expected_uuids(&name, 1..=PAGES, RESULTS)
        .iter()
        .map(ToString::to_string)
        .collect();
    expected.sort();
    let found = job.texts(&format!("SELECT uuid FROM {table}"));
    // Not `assert_eq`: it would print 50,000 ids twice.
    assert!(found == expected, "seed {seed}: {} rows: {ledger}", found.len());
    assert_eq!(job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
    assert_eq!(
        ledger_counts(&ledger),
        [RECORDS, RECORDS, RECORDS, RECORDS, 0, 0, 0, 0],
        "seed {seed}: {ledger}"
    );
    assert!(ledger.contains("the ledger adds up"), "seed {seed}: {ledger}");
}
