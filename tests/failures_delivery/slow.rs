//! A main job whose table can be made slow, and several daemons that share it.

use std::{fs, time::Duration};

use aqueduct::demo::simulator::{Options, Simulator, expected_uuids};

use crate::{
    job::{Brokers, Daemon, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

const RESULTS: u64 = 20;

/// A job that several daemons share.
pub struct Shared {
    pub name: String,
    pub table: String,
    pub job: Job,
    pages: u64,
    brokers: Brokers,
    simulator: Simulator,
}

impl Shared {
    /// `properties` are lines of `[kafka.properties]`. Batches are never full: pages are small and come one by one.
    pub fn new(prefix: &str, pages: u64, properties: &str) -> Self {
        let simulator = Simulator::start(Options {
            delay: Duration::from_millis(40),
            ..Options::default()
        })
        .unwrap();
        let name = unique(prefix);
        let brokers = Brokers::Kafka(TestKafka::shared().address().to_owned());
        let job = Job::new(TestDatabase::empty(), &brokers, &[]);
        let shared = Self {
            table: format!("{}_users", name.replace('-', "_")),
            name,
            job,
            pages,
            brokers,
            simulator,
        };
        shared.write_config("config.toml", properties);
        let table = &shared.table;
        shared.job.database.execute(&format!(
            "CREATE TABLE {table} (uuid text, age int, born_at timestamptz, email text, nat text); \
             CREATE TABLE delays (seconds float); \
             CREATE FUNCTION delay() RETURNS trigger LANGUAGE plpgsql AS \
             $$BEGIN PERFORM pg_sleep((SELECT max(seconds) FROM delays)); RETURN NULL; END$$; \
             CREATE TRIGGER delay AFTER INSERT ON {table} FOR EACH STATEMENT EXECUTE FUNCTION delay()"
        ));
        shared
    }

    /// A config file for one more daemon.
    pub fn write_config(&self, name: &str, properties: &str) {
        let pipeline = PipelineText::users(&self.name, &self.simulator.url(), RESULTS, self.pages);
        let path = self.job.write_config(name, &self.brokers, &[pipeline]);
        let heartbeat = "\"heartbeat.interval.ms\" = 500\n";
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(heartbeat));
        fs::write(&path, text.replace(heartbeat, &format!("{heartbeat}{properties}"))).unwrap();
    }

    pub fn start(&self, config: &str) -> Daemon {
        self.job.start(config, &["run"], &config.replace(".toml", ".log"))
    }

    /// Each batch takes so long from now on.
    pub fn delay_batches(&self, seconds: f64) {
        self.job
            .database
            .execute(&format!("DELETE FROM delays; INSERT INTO delays VALUES ({seconds})"));
    }

    pub fn num_records(&self) -> i64 {
        (RESULTS * self.pages).cast_signed()
    }

    pub fn num_settled(&self) -> i64 {
        let sql = "SELECT coalesce(sum(consumed), 0) FROM aqueduct.offsets";
        self.job.try_count(sql).unwrap_or(0)
    }

    pub fn until_settled(&self, num: i64, daemons: &mut [&mut Daemon]) {
        wait_for(&format!("{num} records are settled"), LIMIT, || {
            for daemon in daemons.iter_mut() {
                assert!(daemon.is_running(), "{}", daemon.tail());
            }
            self.num_settled() >= num
        });
    }

    /// Waits until a batch is being written, slowly.
    pub fn until_a_batch_hangs(&self) {
        let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
        wait_for("a batch is being written", LIMIT, || self.job.count(sql) > 0);
    }

    /// The processes that own partitions, each with the number of its partitions.
    pub fn owners(&self) -> Vec<String> {
        self.job
            .texts("SELECT split_part(owner, ' ', 1) || ' ' || count(*) FROM aqueduct.offsets GROUP BY split_part(owner, ' ', 1)")
    }

    pub fn until_owners(&self, num: usize) {
        wait_for(&format!("{num} daemons own partitions"), LIMIT, || {
            self.owners().len() == num
        });
    }

    /// `partition: epoch` of each partition.
    pub fn epochs(&self) -> Vec<String> {
        self.job
            .texts("SELECT partition || ': ' || epoch FROM aqueduct.offsets")
    }

    pub fn sum_of_epochs(&self) -> i64 {
        self.job.count("SELECT sum(epoch) FROM aqueduct.offsets")
    }

    /// Each id is in the table once, none is dead, and the ledger says the same. No daemon runs any more.
    pub fn verify(&self) {
        let ledger = self.job.run_once();
        let mut expected: Vec<String> = expected_uuids(&self.name, 1..=self.pages, RESULTS)
            .iter()
            .map(ToString::to_string)
            .collect();
        expected.sort();
        let found = self.job.texts(&format!("SELECT uuid FROM {}", self.table));
        // Not `assert_eq`: it would print all of them twice.
        assert!(
            found == expected,
            "{} rows of {}: {ledger}",
            found.len(),
            expected.len()
        );
        assert_eq!(self.job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
        let records = self.num_records().cast_unsigned();
        assert_eq!(
            crate::job::ledger_counts(&ledger),
            [records, records, records, records, 0, 0, 0, 0],
            "{ledger}"
        );
        assert!(ledger.contains("the ledger adds up"), "{ledger}");
    }
}

/// The messages of a daemon's log that hold this text, in order.
pub fn lines(daemon: &Daemon, text: &str) -> Vec<String> {
    daemon
        .log()
        .lines()
        .filter(|line| line.contains(text))
        .map(str::to_owned)
        .collect()
}
