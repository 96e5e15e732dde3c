//! kill -9 between each two steps of both transactions: each record is in the table once, and the ledger is exact.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::process::ExitStatusExt,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use aqueduct::demo::simulator::{Corrupt, Options, Simulator, expected_uuids};
use nix::sys::signal::Signal;

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText, ledger_counts},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, TestPostgres, wait_for},
};

const RESULTS: u64 = 100;
const PAGES: u64 = 6;

/// Which runs reach a failpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// The ingest branch, on Kafka: the table's mode makes no difference to it.
    Kafka,
    /// The embedded log's own steps.
    Embedded,
    /// The ingest branch, on either log.
    BothLogs,
    /// The load branch on Kafka, in either mode.
    BothModes,
    /// The merge of an `upsert`.
    Upsert,
}

/// Each failpoint of the source, and at which time of reaching it the daemon dies (`nth[:pause_ms]`).
const FAILPOINTS: [(&str, &str, On); 26] = [
    ("ingest-after-init", "2", On::Kafka),
    ("ingest-before-begin", "3", On::Kafka),
    ("ingest-after-begin", "3", On::Kafka),
    // The pause lets the records reach the broker, where they lie without their cursor.
    ("ingest-after-records", "3:100", On::Kafka),
    ("ingest-after-cursor", "3:100", On::Kafka),
    ("ingest-after-reports", "3", On::Kafka),
    ("ingest-before-commit", "3", On::Kafka),
    ("ingest-after-commit", "3", On::Kafka),
    ("ingest-before-delivered", "3", On::BothLogs),
    ("embedded-before-append", "3", On::Embedded),
    ("embedded-after-records", "3", On::Embedded),
    ("embedded-after-cursor", "3", On::Embedded),
    ("embedded-after-commit", "3", On::Embedded),
    ("load-after-claim", "2", On::BothModes),
    ("load-after-fetch", "3", On::BothModes),
    ("load-after-begin", "3", On::BothModes),
    ("load-before-copy", "3", On::BothModes),
    ("load-after-copy", "3", On::BothModes),
    ("load-after-merge", "3", On::Upsert),
    ("load-after-dead-letters", "3", On::BothModes),
    ("load-after-counts", "3", On::BothModes),
    ("load-after-fence", "3", On::BothModes),
    ("load-before-commit", "3", On::BothModes),
    ("load-after-commit", "3", On::BothModes),
    ("load-before-kafka-commit", "1", On::BothModes),
    ("load-after-kafka-commit", "1", On::BothModes),
];

/// The bad record of the upserts: page 3, index 50. It alone goes to the dead letters, whatever dies.
const BAD: (u64, usize) = (3, 50);

fn spoil() -> Corrupt {
    Arc::new(|page, index, record| {
        ((page, index) == BAD).then(|| record.replacen("\"age\":", "\"age\":\"x\",\"was\":", 1))
    })
}

#[derive(Clone, Copy, Debug)]
struct Case {
    name: &'static str,
    nth: &'static str,
    upsert: bool,
    embedded: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, nth, on) in FAILPOINTS {
        let mut add = |upsert, embedded| {
            cases.push(Case {
                name,
                nth,
                upsert,
                embedded,
            });
        };
        if on != On::Embedded {
            add(on == On::Upsert, false);
        }
        if on == On::BothModes {
            add(true, false);
        }
        if matches!(on, On::Embedded | On::BothLogs) {
            add(false, true);
        }
    }
    cases
}

/// Most of a case is waiting for a group to notice that a member is gone.
const AT_ONCE: usize = 6;

#[test]
fn kill_9_between_each_two_steps_of_both_transactions_loses_and_doubles_nothing() {
    let kafka = TestKafka::shared().address();
    let simulator = Simulator::start(Options::default()).unwrap();
    let spoiling = Simulator::start(Options {
        corrupt: Some(spoil()),
        ..Options::default()
    })
    .unwrap();
    let queue = Mutex::new(cases());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(case) = queue.lock().unwrap().pop() else {
                        return;
                    };
                    let source = if case.upsert { &spoiling } else { &simulator };
                    if let Err(problem) = run(case, kafka, &source.url()) {
                        failures.lock().unwrap().push(format!("{case:?}: {problem}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Dies at the failpoint, goes on without it, and looks whether anything shows.
fn run(case: Case, kafka: &str, url: &str) -> Result<(), String> {
    let name = unique(case.name).to_lowercase();
    let mut pipeline = PipelineText::users(&name, url, RESULTS, PAGES);
    pipeline.rows = RESULTS;
    if case.upsert {
        (pipeline.mode, pipeline.key) = ("upsert", r#"["uuid"]"#);
    }
    let table = pipeline.table.clone();
    let brokers = if case.embedded {
        Brokers::Embedded
    } else {
        Brokers::Kafka(kafka.to_owned())
    };
    let job = Job::new(TestDatabase::empty(), &brokers, &[pipeline]);
    if case.name == "load-after-merge" {
        // Such a table is never written by COPY alone, whatever the keys are.
        job.database.execute(&format!(
            "CREATE TABLE {table} (uuid text PRIMARY KEY, age int, born_at timestamptz, email text, nat text); \
             CREATE FUNCTION {table}_same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; \
             CREATE TRIGGER same BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_same()"
        ));
    }
    let failpoint = format!("{}:{}", case.name, case.nth);
    let variables = [("AQUEDUCT_FAILPOINT", failpoint.as_str())];
    let mut daemon = job.start_with("config.toml", &["run", "--once"], "dying.log", &variables);
    let status = daemon.wait("the daemon dies at its failpoint");
    let reached = daemon.log().contains(&format!("failpoint {} reached", case.name));
    if status.signal() != Some(Signal::SIGKILL as i32) || !reached {
        return Err(format!(
            "it did not die at the failpoint but with {status}: {}",
            daemon.tail()
        ));
    }
    let ledger = job.run_once();
    verify(&job, &name, &table, PAGES, case.upsert, &ledger)
}

fn verify(job: &Job, name: &str, table: &str, pages: u64, spoilt: bool, ledger: &str) -> Result<(), String> {
    let mut expected: Vec<String> = expected_uuids(name, 1..=pages, RESULTS)
        .iter()
        .map(ToString::to_string)
        .collect();
    if spoilt {
        let (page, index) = BAD;
        expected.remove((page as usize - 1) * RESULTS as usize + index);
    }
    expected.sort();
    let (records, dead) = ((RESULTS * pages).cast_signed(), i64::from(spoilt));
    let found = job.texts(&format!("SELECT uuid FROM {table}"));
    if found != expected {
        let distinct: BTreeSet<&String> = found.iter().collect();
        let num_missing = expected.iter().filter(|uuid| !distinct.contains(uuid)).count();
        return Err(format!(
            "of {} ids {num_missing} are missing and {} are there again: {ledger}",
            expected.len(),
            found.len() - distinct.len()
        ));
    }
    let count = |sql: &str| job.count(sql);
    let applied = records - dead;
    let numbers = [
        (
            "dead letters",
            count("SELECT count(*) FROM aqueduct.dead_letters"),
            dead,
        ),
        ("consumed", count("SELECT sum(consumed) FROM aqueduct.offsets"), records),
        ("applied", count("SELECT sum(applied) FROM aqueduct.offsets"), applied),
        ("dead", count("SELECT sum(dead) FROM aqueduct.offsets"), dead),
        (
            "inserted",
            count("SELECT sum(inserted) FROM aqueduct.row_counts"),
            applied,
        ),
        (
            "other rows",
            count("SELECT sum(updated + unchanged + superseded) FROM aqueduct.row_counts"),
            0,
        ),
    ];
    if let Some((what, found, expected)) = numbers.iter().find(|(_, found, expected)| found != expected) {
        return Err(format!("{what}: {found} instead of {expected}: {ledger}"));
    }
    let [records, applied, dead] = [records, applied, dead].map(i64::cast_unsigned);
    let in_ledger = [records, records, records, applied, 0, dead, 0, 0];
    if ledger_counts(ledger) != in_ledger || !ledger.contains("the ledger adds up") {
        return Err(format!("{in_ledger:?} expected: {ledger}"));
    }
    Ok(())
}

#[test]
fn no_failpoint_of_the_source_is_forgotten() {
    let mut in_source = BTreeSet::new();
    let mut folders = vec![Path::new("src").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                for (at, call) in text.match_indices("failpoint::reach(\"") {
                    let name = text[at + call.len()..].split('"').next().unwrap().to_owned();
                    assert!(in_source.insert(name.clone()), "{name} stands at two places");
                }
            }
        }
    }
    let in_table: BTreeSet<String> = FAILPOINTS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(in_source, in_table);
}

/// The server has committed and waits for a standby that does not exist: no answer goes out, and until the next claim ends
/// the hung session nobody sees the rows.
#[test]
fn a_daemon_that_dies_while_it_waits_for_the_answer_to_its_commit_writes_nothing_twice() {
    const PAGES: u64 = 40;

    // Without senders nobody waits for a standby.
    let server = TestPostgres::private_with(&[("wal_level", "replica"), ("max_wal_senders", "1")]);
    let simulator = Simulator::start(Options {
        delay: Duration::from_millis(100),
        ..Options::default()
    })
    .unwrap();
    let name = unique("answer");
    let mut pipeline = PipelineText::users(&name, &simulator.url(), RESULTS, PAGES);
    pipeline.rows = RESULTS;
    let table = pipeline.table.clone();
    let brokers = Brokers::Kafka(TestKafka::shared().address().to_owned());
    let job = Job::new(server.database(), &brokers, &[pipeline]);
    let variables = [("AQUEDUCT__POSTGRES__SYNCHRONOUS_COMMIT", "true")];
    let mut daemon = job.start_with("config.toml", &["run"], "dying.log", &variables);
    let settled = || job.try_count(&format!("SELECT count(*) FROM {table}")).unwrap_or(0);
    wait_for("the first rows", LIMIT, || settled() > 0);
    job.database
        .execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    job.database.execute("SELECT pg_reload_conf()");
    let hung =
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name LIKE 'aqueduct %'";
    wait_for("a commit without an answer", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        job.count(hung) > 0
    });
    daemon.kill9();
    assert!(job.count(hung) > 0, "the server has not noticed");
    assert!(settled() < (RESULTS * PAGES).cast_signed());
    // The next life does not wait for standbys: `synchronous_commit = false` is the default.
    let ledger = job.run_once();
    assert_eq!(job.count(hung), 0, "the claim has ended the hung session");
    verify(&job, &name, &table, PAGES, false, &ledger).unwrap();
}
