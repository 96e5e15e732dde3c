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

/// How long a form of the test is.
struct Form {
    pages: u64,
    kills: u64,
}

const LONG: Form = Form { pages: 100, kills: 20 };
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

fn killed_again_and_again(brokers: &Brokers, form: &Form) {
    let mut run = Run::new(brokers, form.pages);
    for number in 0..form.kills {
        let mut daemon = run.job.start("config.toml", &["run"], "daemon.log");
        // Half of them in the middle of the work, half at any moment after the start.
        if number % 2 == 0 {
            let more = run.settled() + run.random.random_range(1..=2 * run.records() / form.kills);
            run.wait_for_rows(more, &mut daemon);
        } else {
            let pause_ms = run.random.random_range(0..1_500);
            std::thread::park_timeout(Duration::from_millis(pause_ms));
        }
        assert!(
            daemon.is_running(),
            "seed {}, kill {number}: it had ended by itself: {}",
            run.seed,
            daemon.tail()
        );
        daemon.kill9();
    }
    run.verify();
}

/// The broker stops in the middle of whatever was asked of it, the daemon dies, and then the broker does what was asked:
/// a commit, perhaps, of whose success nobody has heard.
#[test]
fn what_a_broker_does_after_the_daemon_s_death_loses_and_doubles_nothing() {
    const ROUNDS: u64 = 6;

    let kafka = TestKafka::private();
    let mut run = Run::new(&Brokers::Kafka(kafka.address().to_owned()), LONG.pages);
    for _ in 0..ROUNDS {
        let mut daemon = run.job.start("config.toml", &["run"], "daemon.log");
        let more = run.settled() + run.random.random_range(1..=run.records() / ROUNDS);
        run.wait_for_rows(more, &mut daemon);
        kafka.freeze();
        // What is under way comes to its next question to the broker.
        let pause_ms = run.random.random_range(50..500);
        std::thread::park_timeout(Duration::from_millis(pause_ms));
        daemon.kill9();
        kafka.thaw();
    }
    run.verify();
}

/// A job, and how far it is.
struct Run {
    seed: u64,
    pages: u64,
    random: StdRng,
    _simulator: Simulator,
    job: Job,
    name: String,
    table: String,
}

impl Run {
    fn new(brokers: &Brokers, pages: u64) -> Self {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let simulator = Simulator::start(Options {
            delay: Duration::from_millis(20),
            flaky: Some(seed),
            ..Options::default()
        })
        .unwrap();
        let name = unique("crash");
        let pipeline = PipelineText::users(&name, &simulator.url(), RESULTS, pages);
        let table = pipeline.table.clone();
        Self {
            seed,
            pages,
            random: StdRng::seed_from_u64(seed),
            _simulator: simulator,
            job: Job::new(TestDatabase::empty(), brokers, &[pipeline]),
            name,
            table,
        }
    }

    fn records(&self) -> u64 {
        RESULTS * self.pages
    }

    fn settled(&self) -> u64 {
        let rows = self.job.try_count(&format!("SELECT count(*) FROM {}", self.table));
        rows.unwrap_or(0).cast_unsigned()
    }

    fn wait_for_rows(&self, rows: u64, daemon: &mut crate::job::Daemon) {
        wait_for("more rows, or all of them", LIMIT, || {
            assert!(daemon.is_running(), "seed {}: {}", self.seed, daemon.tail());
            self.settled() >= rows.min(self.records())
        });
    }

    fn verify(&self) {
        let Self {
            seed, job, name, table, ..
        } = self;
        let records = self.records();
        let ledger = job.run_once();
        let mut expected: Vec<String> = expected_uuids(name, 1..=self.pages, RESULTS)
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
            [records, records, records, records, 0, 0, 0, 0],
            "seed {seed}: {ledger}"
        );
        assert!(ledger.contains("the ledger adds up"), "seed {seed}: {ledger}");
    }
}
