//! From one log to another, in the middle of a source: nothing lost, nothing doubled.

use std::{collections::BTreeSet, fs, time::Duration};

use aqueduct::demo::simulator::{Options, Simulator};

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText, ledger_counts},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
    proxy::{Proxy, Upstream, Weather},
};

const RESULTS: u64 = 50;
const PAGES: u64 = 40;

/// A job whose `old.toml` and `config.toml` differ in the log and the topic's name, and an API that can be cut off.
struct Move {
    job: Job,
    table: String,
    simulator: Simulator,
    api: Proxy,
}

impl Move {
    fn new(old: &Brokers, new: &Brokers) -> Self {
        let simulator = Simulator::start(Options {
            remember: true,
            delay: Duration::from_millis(100),
            ..Options::default()
        })
        .unwrap();
        let api = Proxy::start(Upstream::Tcp(simulator.addr.to_string()));
        let url = format!("http://{}/api/", api.address());
        let pipeline = PipelineText::users(&unique("moving"), &url, RESULTS, PAGES);
        let table = pipeline.table.clone();
        let job = Job::new(TestDatabase::empty(), new, std::slice::from_ref(&pipeline));
        job.write_config("old.toml", old, &[pipeline]);
        Self {
            job,
            table,
            simulator,
            api,
        }
    }

    fn name_topic(&self, name: &str) {
        let path = self.job.dir.path().join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        let topic = format!("[pipeline.topic]\nname = {name:?}\n");
        fs::write(&path, text.replacen("[pipeline.topic]\n", &topic, 1)).unwrap();
    }

    /// Fetches a part of what there is, and loads all of it.
    fn run_old(&self) {
        let mut daemon = self.job.start("old.toml", &["run"], "old.log");
        let rows = || self.job.try_count(&format!("SELECT count(*) FROM {}", self.table));
        wait_for("some rows", LIMIT, || {
            assert!(daemon.is_running(), "{}", daemon.tail());
            rows().is_some_and(|rows| rows >= 5 * RESULTS as i64)
        });
        self.api.set(Weather::HalfOpen);
        self.api.cut();
        let mut seen = (0, 0);
        wait_for("it stands still with everything loaded", LIMIT, || {
            let status = self.job.status("old.toml").unwrap();
            let pipeline = &status["pipelines"][0];
            let partitions = pipeline["partitions"].as_array().unwrap();
            let lag: i64 = partitions.iter().map(|it| it["lag"].as_i64().unwrap()).sum();
            let produced = pipeline["ledger"]["produced"].as_u64().unwrap_or(0);
            // A page may be on its way still.
            seen = if produced == seen.0 {
                (produced, seen.1 + 1)
            } else {
                (produced, 0)
            };
            lag == 0 && seen.1 >= 20
        });
        assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
        self.api.set(Weather::Clear);
        assert!(rows().unwrap() < (PAGES * RESULTS) as i64, "nothing is left to fetch");
    }

    /// `aqueduct move`, with its exit code.
    fn move_it(&self) -> (i32, String) {
        let old = self.job.dir.path().join("old.toml");
        let args = ["move", "--from", old.to_str().unwrap()];
        let output = self.job.command("config.toml", &args).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    /// Everything that the API has is in the table, once.
    fn assert_exact(&self, ledger: &str) {
        let all = PAGES * RESULTS;
        assert!(ledger.contains("the ledger adds up"), "{ledger}");
        assert_eq!(ledger_counts(ledger)[..4], [all; 4], "{ledger}");
        let rows = self.job.texts(&format!("SELECT uuid FROM {}", self.table));
        let served: BTreeSet<String> = self.simulator.served_uuids().iter().map(ToString::to_string).collect();
        assert_eq!(rows.len() as u64, all);
        assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), served);
    }

    fn goes_well(&self) {
        self.run_old();
        let (code, said) = self.move_it();
        assert!(code == 64 && said.contains("topic.name"), "{said}");
        self.name_topic("moved-users");

        // As if a record had not been loaded.
        let offsets = "UPDATE aqueduct.offsets SET next_offset = next_offset";
        self.job.database.execute(&format!("{offsets} - 1 WHERE partition = 1"));
        let (code, said) = self.move_it();
        assert!(
            code == 64 && said.contains("partition 1 of topic") && said.contains("run --once"),
            "{said}"
        );
        self.job.database.execute(&format!("{offsets} + 1 WHERE partition = 1"));

        let (code, said) = self.move_it();
        assert!(
            code == 0 && said.contains("2 cursors carried over") && said.contains("moved-users"),
            "{said}"
        );
        // Whoever is not sure may do it again.
        let (code, said) = self.move_it();
        assert!(
            code == 0 && said.contains("0 cursors carried over, 2 were there already"),
            "{said}"
        );
        self.assert_exact(&self.job.run_once());
        let (code, said) = self.move_it();
        assert!(code == 64 && said.contains("has run on the new log already"), "{said}");
    }
}

#[test]
fn a_pipeline_moves_from_a_cluster_with_zookeeper_to_one_with_kraft_and_loses_and_doubles_nothing() {
    let (old, new) = (TestKafka::zookeeper(), TestKafka::kraft_with(&[]));
    let brokers = |kafka: &TestKafka| Brokers::Kafka(kafka.address().to_owned());
    Move::new(&brokers(&old), &brokers(&new)).goes_well();
}

#[test]
fn a_pipeline_moves_from_the_embedded_log_to_kafka_and_loses_and_doubles_nothing() {
    let kafka = TestKafka::shared();
    Move::new(&Brokers::Embedded, &Brokers::Kafka(kafka.address().to_owned())).goes_well();
}

#[test]
fn a_pipeline_goes_on_with_a_topic_of_another_name_in_the_same_log() {
    let it = Move::new(&Brokers::Embedded, &Brokers::Embedded);
    it.run_old();
    it.name_topic("renamed-users");
    let (code, said) = it.move_it();
    assert!(
        code == 0 && said.contains("0 cursors carried over, 2 were there already"),
        "{said}"
    );
    it.assert_exact(&it.job.run_once());
}
