//! A running daemon whose source lets out one page after the other, when the test says so.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aqueduct::demo::simulator::{Options, Simulator, expected_uuids};
use serde_json::Value;

use crate::{
    job::{Brokers, Daemon, Job, LIMIT, PipelineText},
    postgres::{TestDatabase, wait_for},
};

/// Records on a page.
pub const RESULTS: u64 = 100;

/// Opens for good when it goes, so that nobody waits behind it.
struct Gate(Arc<AtomicU64>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.store(u64::MAX, Ordering::SeqCst);
    }
}

/// A daemon with one pipeline on the embedded log, which has a topic of one partition.
pub struct Stage {
    pub job: Job,
    pub daemon: Daemon,
    pub name: String,
    pub table: String,
    /// How much of the daemon's log has been looked at.
    seen: usize,
    gate: Gate,
    _simulator: Simulator,
}

impl Stage {
    /// Runs `ddl`, whose `THE_TABLE` is the pipeline's, and starts the daemon. `adapt` is the last to touch its config file.
    pub fn start(
        name: &str,
        database: TestDatabase,
        ddl: &str,
        change: impl FnOnce(&mut PipelineText),
        adapt: impl FnOnce(String) -> String,
    ) -> Self {
        let gate = Gate(Arc::default());
        let open = gate.0.clone();
        let simulator = Simulator::start(Options {
            corrupt: Some(Arc::new(move |page, _, _| {
                while page > open.load(Ordering::SeqCst) {
                    std::thread::park_timeout(Duration::from_millis(10));
                }
                None
            })),
            ..Options::default()
        })
        .unwrap();
        let mut pipeline = PipelineText {
            shards: 1,
            ..PipelineText::users(name, &simulator.url(), RESULTS, 1_000)
        };
        change(&mut pipeline);
        let table = pipeline.table.clone();
        let job = Job::new(database, &Brokers::Embedded, &[pipeline]);
        job.database
            .execute(&format!("SELECT 1; {}", ddl.replace("THE_TABLE", &table)));
        let path = job.dir.path().join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        let text = text
            .replace("backoff = \"100ms\"", "backoff = \"100ms\"\nbackoff_max = \"1s\"")
            .replace("partitions = 3", "partitions = 1")
            .replace("create = true\n", "");
        fs::write(&path, adapt(text)).unwrap();
        let daemon = job.start("config.toml", &["run"], "daemon.log");
        Self {
            job,
            daemon,
            name: name.to_owned(),
            table,
            seen: 0,
            gate,
            _simulator: simulator,
        }
    }

    /// Lets one more page out; returns how many records are out then.
    pub fn let_a_page_out(&self) -> i64 {
        let pages = self.gate.0.fetch_add(1, Ordering::SeqCst) + 1;
        (pages * RESULTS).cast_signed()
    }

    pub fn num_rows(&self) -> Option<i64> {
        self.job.try_count(&format!("SELECT count(*) FROM {}", self.table))
    }

    fn num_out(&self) -> i64 {
        (self.gate.0.load(Ordering::SeqCst) * RESULTS).cast_signed()
    }

    /// Waits until everything that is out is in the table.
    pub fn until_settled(&mut self) {
        let num = self.num_out();
        wait_for(&format!("{num} rows"), LIMIT, || {
            assert!(self.daemon.is_running(), "{}", self.daemon.tail());
            self.num_rows() == Some(num)
        });
        self.seen = self.daemon.log().len();
    }

    /// Waits until a line of the log that nobody has looked at yet holds all of these texts.
    pub fn until_said(&mut self, texts: &[&str]) {
        let mut log = String::new();
        wait_for(&format!("the log says {texts:?}"), LIMIT, || {
            assert!(self.daemon.is_running(), "{}", self.daemon.tail());
            log = self.daemon.log();
            let news = log.get(self.seen..).unwrap_or_default();
            news.lines().any(|line| texts.iter().all(|text| line.contains(text)))
        });
        self.seen = log.len();
    }

    /// Its part of `status --json`.
    pub fn status(&self) -> Value {
        let mut status = Value::Null;
        wait_for("the daemon shows its status", LIMIT, || {
            status = self
                .job
                .status("config.toml")
                .map_or(Value::Null, |mut status| status["pipelines"][0].take());
            !status.is_null()
        });
        status
    }

    /// The branch that loads.
    pub fn load_branch(&self) -> Value {
        let mut status = self.status();
        let branches = status["branches"].as_array_mut().unwrap();
        let loads = |branch: &&mut Value| branch["name"].as_str().unwrap().contains("load");
        branches.iter_mut().find(loads).unwrap().take()
    }

    /// Waits until the branch that loads is parked, for this reason.
    pub fn until_parked(&mut self, reason: &str) {
        let mut branch = Value::Null;
        wait_for(&format!("it is parked: {reason}"), LIMIT, || {
            assert!(self.daemon.is_running(), "{}", self.daemon.tail());
            branch = self.load_branch();
            branch["state"] == "parked" && branch["reason"].as_str().unwrap_or_default().contains(reason)
        });
        assert!(branch["next_try"].is_string(), "{branch:#}");
    }

    /// The table holds the ids of the pages that are out, each once; dead letters and ledger say the same.
    pub fn nothing_is_lost(&mut self) {
        let pages = self.gate.0.load(Ordering::SeqCst);
        let mut expected: Vec<String> = expected_uuids(&self.name, 1..=pages, RESULTS)
            .iter()
            .map(ToString::to_string)
            .collect();
        expected.sort();
        let found = self.job.texts(&format!("SELECT uuid FROM {}", self.table));
        assert!(found == expected, "{} rows, {} records", found.len(), expected.len());
        self.no_letters();
        let num = self.num_out();
        let ledger =
            "SELECT concat_ws(' ', sum(consumed), sum(applied), sum(dead), sum(skipped)) FROM aqueduct.offsets";
        assert_eq!(self.job.texts(ledger), [format!("{num} {num} 0 0")]);
        let mut status = Value::Null;
        wait_for("the status shows the ledger", LIMIT, || {
            status = self.status();
            status["ledger"]["pending"] == 0
        });
        assert_eq!(status["ledger"]["applied"], num, "{status:#}");
        assert_eq!(status["ledger"]["produced"], num, "{status:#}");
    }

    pub fn no_letters(&self) {
        assert_eq!(self.job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
    }

    /// Every actor is in its first life.
    pub fn no_restart_was_spent(&self) {
        let status = self.status();
        for branch in status["branches"].as_array().unwrap() {
            for actor in branch["children"].as_array().unwrap() {
                assert_eq!(actor["life"], 1, "{actor:#}");
            }
        }
    }

    pub fn stop(mut self) {
        drop(self.gate);
        assert_eq!(self.daemon.terminate().code(), Some(0), "{}", self.daemon.tail());
    }
}
