//! `aqueduct dead-letters`: what could not be loaded is seen, loaded again once, or given up; the ledger stays exact.

use std::{process::Output, sync::Arc, time::Duration};

use aqueduct::demo::simulator::{Options, Simulator};
use serde_json::Value;

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::unique,
    postgres::{TestDatabase, wait_for},
};

fn letters(job: &Job, args: &[&str]) -> Output {
    let mut all = vec!["dead-letters"];
    all.extend(args);
    // `-c FILE` comes last and belongs to the action.
    job.command("config.toml", &all).output().unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn json(job: &Job, args: &[&str]) -> Value {
    let output = letters(job, args);
    assert!(output.status.success(), "{args:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

fn listed(job: &Job, args: &[&str]) -> usize {
    let args = [&["list", "--json", "--limit", "1000"], args].concat();
    json(job, &args).as_array().unwrap().len()
}

fn fates(job: &Job) -> Vec<String> {
    job.texts(
        "SELECT concat_ws(' ', sum(consumed), sum(applied), sum(filtered), sum(dead), sum(skipped), \
         (SELECT count(*) FROM aqueduct.dead_letters)) FROM aqueduct.offsets",
    )
}

/// 1,000 people; on each page 5 whose e-mail a constraint refuses and 1 that does not decode.
fn simulator(delay: Duration) -> Simulator {
    Simulator::start(Options {
        delay,
        corrupt: Some(Arc::new(|_, index, record: &str| match index {
            10 | 20 | 30 | 40 | 50 => Some(record.replacen("\"email\":\"", "\"email\":\"nobody ", 1)),
            99 => Some(record.replacen("\"age\":", "\"age\":\"x\",\"was\":", 1)),
            _ => None,
        })),
        ..Options::default()
    })
    .unwrap()
}

fn job(name: &str, simulator: &Simulator, pages: u64) -> (Job, String) {
    let pipeline = PipelineText::users(name, &simulator.url(), 100, pages);
    let table = pipeline.table.clone();
    let database = TestDatabase::empty();
    database.execute(&format!(
        "CREATE TABLE {table} (uuid text, age int, born_at timestamptz, \
         email text CONSTRAINT known CHECK (email NOT LIKE 'nobody%'), nat text)"
    ));
    (Job::new(database, &Brokers::Embedded, &[pipeline]), table)
}

#[test]
fn dead_letters_are_listed_replayed_once_and_purged_and_the_ledger_stays_exact() {
    let simulator = simulator(Duration::ZERO);
    let name = unique("letters").to_lowercase();
    let (job, table) = job(&name, &simulator, 10);
    let rows = || job.count(&format!("SELECT count(*) FROM {table}"));
    job.run_once();
    assert_eq!((rows(), fates(&job)), (940, vec!["1000 940 0 60 0 60".to_owned()]));

    // Seen: by stage, text and time.
    assert_eq!(listed(&job, &[]), 60);
    assert_eq!(listed(&job, &["--stage", "decode"]), 10);
    assert_eq!(listed(&job, &["--reason", "KNOWN", "--pipeline", &name]), 50);
    assert_eq!(listed(&job, &["--pipeline", "another"]), 0);
    assert_eq!(listed(&job, &["--since", "1h"]), 60);
    assert_eq!(listed(&job, &["--until", "1h"]), 0);
    assert_eq!(
        json(&job, &["list", "--json", "--limit", "7"])
            .as_array()
            .unwrap()
            .len(),
        7
    );
    let people = text(&letters(&job, &["list", "--limit", "7"]));
    assert!(
        people.contains("7 of 60 dead letters") && people.contains("23514"),
        "{people}"
    );
    let first = json(&job, &["list", "--json", "--stage", "write"])[0].clone();
    let id = first["id"].to_string();
    let whole = json(&job, &["show", &id, "--json"]);
    assert_eq!(whole["offset"], first["offset"]);
    assert!(whole["payload"].as_str().unwrap().contains("nobody "), "{whole:#}");
    assert!(text(&letters(&job, &["show", &id])).contains("nobody "));
    let unknown = letters(&job, &["show", "999999"]);
    assert_eq!(unknown.status.code(), Some(69), "{}", text(&unknown));

    // Refused again while nothing has changed: the reason is new, the try is counted.
    let refused = json(&job, &["replay", "--all", "--json"]);
    assert_eq!(
        (&refused[0]["applied"], &refused[0]["dead"]),
        (&0.into(), &60.into()),
        "{refused:#}"
    );
    assert_eq!(fates(&job), ["1000 940 0 60 0 60"]);
    assert_eq!(json(&job, &["show", &id, "--json"])["attempts"], 2);
    assert_eq!(
        letters(&job, &["replay"]).status.code(),
        Some(64),
        "which ones was not said"
    );

    // Two at once, after the table was mended: each record is written once.
    job.database
        .execute(&format!("ALTER TABLE {table} DROP CONSTRAINT known"));
    let args = ["dead-letters", "replay", "--stage", "write", "--json"];
    let spawn = || {
        job.command("config.toml", &args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [spawn(), spawn()].map(|child| child.wait_with_output().unwrap());
    let applied: u64 = both
        .iter()
        .map(|output| {
            assert!(output.status.success(), "{}", text(output));
            let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
            replayed[0]["applied"].as_u64().unwrap()
        })
        .sum();
    assert_eq!(
        (applied, rows(), fates(&job)),
        (50, 990, vec!["1000 990 0 10 0 10".to_owned()])
    );
    let again = json(&job, &["replay", "--stage", "write", "--json"]);
    assert_eq!((&again[0]["applied"], rows()), (&0.into(), 990), "twice writes once");
    assert_eq!(job.count(&format!("SELECT count(DISTINCT uuid) FROM {table}")), 990);
    assert_eq!(job.count("SELECT sum(inserted) FROM aqueduct.row_counts"), 990);

    // Through the SQL as it is now: the schema takes what did not decode, and the query leaves half of it out.
    crate::door::edit_config(
        &job,
        &[
            ("age: INT", "age: STRING, was: INT"),
            ("dob.age AS age", "dob.was AS age"),
            ("FROM records\"", "FROM records WHERE _offset % 2 = 0\""),
        ],
    );
    let changed = json(&job, &["replay", "--stage", "decode", "--json"]);
    let (applied, filtered) = (
        changed[0]["applied"].as_i64().unwrap(),
        changed[0]["filtered"].as_i64().unwrap(),
    );
    assert_eq!(
        (applied + filtered, &changed[0]["dead"]),
        (10, &0.into()),
        "{changed:#}"
    );
    assert_eq!(rows(), 990 + applied);
    assert_eq!(fates(&job), [format!("1000 {} {filtered} 0 0 0", 990 + applied)]);
    assert!(text(&letters(&job, &["list"])).contains("no dead letters"));
}

#[test]
fn a_purge_asks_first_and_counts_the_records_as_skipped() {
    let simulator = simulator(Duration::ZERO);
    let (job, _) = job(&unique("purge").to_lowercase(), &simulator, 2);
    job.run_once();
    assert_eq!(
        letters(&job, &["purge", "--yes"]).status.code(),
        Some(64),
        "which ones was not said"
    );
    let asked = letters(&job, &["purge", "--stage", "decode"]);
    assert_eq!(asked.status.code(), Some(64));
    assert!(
        text(&asked).contains("2 dead letter(s)") && text(&asked).contains("--yes"),
        "{}",
        text(&asked)
    );
    assert_eq!(fates(&job), ["200 188 0 12 0 12"]);
    let purged = json(&job, &["purge", "--stage", "decode", "--yes", "--json"]);
    assert_eq!(
        (&purged["purged"], fates(&job)),
        (&2.into(), vec!["200 188 0 10 2 10".to_owned()])
    );
    // The ledger of a later run still adds up.
    assert!(job.run_once().contains("the ledger adds up"));
}

#[test]
fn a_replay_beside_a_running_daemon_disturbs_neither_its_order_nor_its_fence() {
    let simulator = simulator(Duration::from_millis(20));
    let (job, table) = job(&unique("beside").to_lowercase(), &simulator, 60);
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    wait_for("there are dead letters", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        job.try_count("SELECT count(*) FROM aqueduct.dead_letters").unwrap_or(0) >= 20
    });
    job.database
        .execute(&format!("ALTER TABLE {table} DROP CONSTRAINT known"));
    let mut num_replays = 0;
    wait_for("everything is settled and replayed", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        let output = letters(&job, &["replay", "--stage", "write", "--json"]);
        assert!(output.status.success(), "{}", text(&output));
        num_replays += 1;
        job.count("SELECT sum(consumed) FROM aqueduct.offsets") == 6_000
            && job.count("SELECT count(*) FROM aqueduct.dead_letters WHERE stage = 'write'") == 0
    });
    assert!(num_replays >= 1);
    assert_eq!(fates(&job), ["6000 5940 0 60 0 60"]);
    assert_eq!(job.count(&format!("SELECT count(*) FROM {table}")), 5_940);
    assert_eq!(job.count(&format!("SELECT count(DISTINCT uuid) FROM {table}")), 5_940);
    let mut status = Value::Null;
    wait_for("the ledger is closed", LIMIT, || {
        status = job.status("config.toml").unwrap_or(Value::Null);
        status["pipelines"][0]["ledger"]["pending"] == 0
    });
    let pipeline = &status["pipelines"][0];
    assert!(pipeline["gap"].is_null(), "{pipeline:#}");
    assert_eq!(
        job.count("SELECT max(epoch) FROM aqueduct.offsets"),
        1,
        "no partition was claimed again"
    );
    for branch in pipeline["branches"].as_array().unwrap() {
        for actor in branch["children"].as_array().unwrap() {
            assert_eq!(actor["life"], 1, "{actor:#}");
        }
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}
