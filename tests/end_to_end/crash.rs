//! kill -9 at random moments.

use aqueduct::demo::simulator::{Options, Simulator, expected_uuids};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

const RESULTS: u64 = 500;

/// How long a form of the test is.
struct Form {
    pages: u64,
    kills: u64,
}

const LONG: Form = Form { pages: 40, kills: 10 };
/// For a Kafka that is one more kind of the same.
const SHORT: Form = Form { pages: 10, kills: 3 };

#[test]
fn kill_9_at_random_moments_loses_and_doubles_nothing_on_a_real_kafka() {
    killed_again_and_again(&Brokers::Kafka(TestKafka::shared().address().to_owned()), &LONG);
}

#[test]
fn kill_9_at_random_moments_loses_and_doubles_nothing_on_the_embedded_log() {
    killed_again_and_again(&Brokers::Embedded, &LONG);
}

#[test]
fn kill_9_loses_and_doubles_nothing_on_kafka_3_9_with_zookeeper() {
    let kafka = TestKafka::zookeeper();
    killed_again_and_again(&Brokers::Kafka(kafka.address().to_owned()), &SHORT);
}

fn killed_again_and_again(brokers: &Brokers, &Form { pages, kills }: &Form) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let simulator = Simulator::start(Options {
        delay: std::time::Duration::from_millis(20),
        ..Options::default()
    })
    .unwrap();
    let name = unique("crash");
    let pipeline = PipelineText::users(&name, &simulator.url(), RESULTS, pages);
    let table = pipeline.table.clone();
    let job = Job::new(TestDatabase::empty(), brokers, &[pipeline]);
    let settled = || {
        job.try_count(&format!("SELECT count(*) FROM {table}"))
            .unwrap_or(0)
            .cast_unsigned()
    };
    for number in 0..kills {
        let mut daemon = job.start("config.toml", &["run"], "daemon.log");
        // Half of them in the middle of the work, half at any moment after the start.
        if random.random_bool(0.5) {
            let more = settled() + random.random_range(1..=2 * RESULTS * pages / kills);
            wait_for("more rows, or all of them", LIMIT, || {
                settled() >= more.min(RESULTS * pages)
            });
        }
        std::thread::park_timeout(std::time::Duration::from_millis(random.random_range(0..800)));
        assert!(
            daemon.is_running(),
            "kill {number}: it had ended by itself: {}",
            daemon.tail()
        );
        daemon.kill9();
    }
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    let mut expected: Vec<String> = expected_uuids(&name, 1..=pages, RESULTS)
        .iter()
        .map(ToString::to_string)
        .collect();
    expected.sort();
    assert_eq!(job.texts(&format!("SELECT uuid FROM {table}")), expected, "{ledger}");
    assert_eq!(job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
    let all = (RESULTS * pages).cast_signed();
    assert_eq!(job.count("SELECT sum(consumed) FROM aqueduct.offsets"), all);
}
