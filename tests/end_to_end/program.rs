//! Programs as sources: the shipped examples as they are, and kill -9 of the daemon in the middle of a run.

use std::{fs, path::PathBuf, process::Command};

use aqueduct::config;

use crate::{
    job::{Brokers, Job, LIMIT},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

/// The shipped examples are Python.
fn need_python() {
    let found = Command::new("python3").arg("--version").output();
    assert!(
        found.is_ok_and(|output| output.status.success()),
        "this test runs the shipped examples, which are Python scripts: install python3 and put it into PATH"
    );
}

fn examples() -> PathBuf {
    std::path::absolute("examples").unwrap()
}

/// A job whose config is a shipped example, in a folder with the example's other files, under a name of its own.
fn example(brokers: &Brokers, file: &str, files: &[&str], name: &str) -> Job {
    need_python();
    let job = Job::new(TestDatabase::empty(), brokers, &[]);
    for other in files {
        fs::copy(examples().join(other), job.dir.path().join(other)).unwrap();
    }
    let text = fs::read_to_string(examples().join(file)).unwrap();
    let named = text.replacen("name = \"", &format!("name = \"{name}-"), 1);
    append(&job, &named);
    job
}

fn append(job: &Job, text: &str) {
    let path = job.dir.path().join("config.toml");
    let head = fs::read_to_string(&path).unwrap();
    fs::write(&path, head + text).unwrap();
}

#[test]
fn the_shipped_examples_are_sound() {
    for file in ["people.toml", "singer.toml"] {
        let environment = config::Environment::of([("HOME", "/home/ada")]);
        let loaded =
            config::load(&examples().join(file), &environment).unwrap_or_else(|problems| panic!("{problems:#?}"));
        assert_eq!(loaded.notes, [], "{file}");
    }
}

#[test]
fn the_shipped_program_fills_its_table_and_goes_on_at_its_cursor() {
    let name = unique("people");
    let job = example(&Brokers::Embedded, "people.toml", &["people.py"], &name);
    let ledger = job.run_once();
    assert!(
        ledger.contains("the ledger adds up") && ledger.contains("2,000"),
        "{ledger}"
    );
    assert_eq!(job.count("SELECT count(*) FROM people"), 2_000);
    assert_eq!(job.count("SELECT count(*) FROM people WHERE team = 'red'"), 1_000);
    let ledger = job.run_once();
    assert!(
        ledger.contains("the ledger adds up") && ledger.contains("2,000"),
        "{ledger}"
    );
    assert_eq!(
        job.count("SELECT sum(consumed) FROM aqueduct.offsets"),
        2_000,
        "one run"
    );
}

#[test]
fn the_shipped_singer_tap_fills_its_table_and_its_state_comes_back() {
    let name = unique("tap");
    let kafka = Brokers::Kafka(TestKafka::shared().address().to_owned());
    let job = example(
        &kafka,
        "singer.toml",
        &["tap_countries.py", "tap_countries.json"],
        &name,
    );
    // A tap is run again and again.
    let path = job.dir.path().join("config.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("output = \"singer\"", "output = \"singer\"\nevery = \"100ms\""),
    )
    .unwrap();
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    assert_eq!(job.count("SELECT count(*) FROM countries"), 6);
    let countries = job.dir.path().join("tap_countries.json");
    let more = fs::read_to_string(&countries)
        .unwrap()
        .replace(r#""India"}"#, r#""India"}, {"code": "NZ", "name": "New Zealand"}"#);
    fs::write(&countries, more).unwrap();
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    assert_eq!(job.count("SELECT count(*) FROM countries"), 7);
    assert_eq!(
        job.count("SELECT sum(consumed) FROM aqueduct.offsets"),
        7,
        "only the new one was read"
    );
}

/// Prints ids to 3,000, a cursor after every tenth, and writes down each start; slow enough to be killed in the middle.
const SLOW: &str = r#"
    echo $$ >>pids; id=${AQUEDUCT_CURSOR:-0}
    while [ $id -lt 3000 ]; do
        id=$((id + 1)); echo "{\"id\":$id}"
        if [ $((id % 10)) = 0 ]; then echo "{\"cursor\":$id}"; sleep 0.01; fi
    done
"#;

#[test]
fn kill_9_of_the_daemon_in_a_run_loses_and_doubles_nothing_and_leaves_no_program_behind() {
    let name = unique("program");
    let kafka = Brokers::Kafka(TestKafka::shared().address().to_owned());
    let job = Job::new(TestDatabase::empty(), &kafka, &[]);
    fs::write(job.dir.path().join("slow.sh"), SLOW).unwrap();
    append(
        &job,
        &format!(
            "[[pipeline]]\nname = \"{name}\"\nschema = \"id BIGINT\"\n[pipeline.source]\nkind = \"exec\"\n\
             command = [\"/bin/sh\", \"slow.sh\"]\noutput = \"cursors\"\nkey = \"$.id\"\n[pipeline.batch]\nage = \"20ms\"\n\
             [[pipeline.table]]\nname = \"ids\"\nmode = \"append\"\ncreate = true\nsql = \"SELECT id FROM records\"\n"
        ),
    );
    let rows = || job.try_count("SELECT count(*) FROM ids").unwrap_or(0);
    let pids = || fs::read_to_string(job.dir.path().join("pids")).unwrap_or_default();
    for kill in 1..=4 {
        let mut daemon = job.start("config.toml", &["run"], "daemon.log");
        let more = rows() + 300;
        wait_for(&format!("{more} rows before kill {kill}"), LIMIT, || {
            assert!(daemon.is_running(), "{}", daemon.tail());
            rows() >= more
        });
        let pid: i32 = pids().lines().last().unwrap().parse().unwrap();
        daemon.kill9();
        wait_for("the program is gone", LIMIT, || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        });
    }
    let ledger = job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    assert_eq!(pids().lines().count(), 5, "one run for each daemon");
    assert_eq!(job.count("SELECT count(DISTINCT id) FROM ids"), 3_000);
    assert_eq!(rows(), 3_000);
    assert_eq!(job.count("SELECT sum(consumed) FROM aqueduct.offsets"), 3_000);
}

#[test]
fn a_stop_ends_the_program_and_a_program_that_always_fails_parks_its_pipeline_with_the_reason() {
    let name = unique("stopped");
    let job = Job::new(TestDatabase::empty(), &Brokers::Embedded, &[]);
    let pipeline = |name: &str, script: &str, extra: &str| {
        format!(
            "[[pipeline]]\nname = \"{name}\"\nschema = \"id BIGINT\"\n[pipeline.source]\nkind = \"exec\"\n\
             command = [\"/bin/sh\", \"-c\", '{script}']\n{extra}\n\
             [[pipeline.table]]\nname = \"{}\"\nmode = \"append\"\ncreate = true\nsql = \"SELECT id FROM records\"\n",
            name.replace('-', "_")
        )
    };
    append(
        &job,
        &pipeline(&format!("{name}-a"), "echo $$ >pid; while :; do sleep 1; done", ""),
    );
    let missing = "command = [\"no-such-program-anywhere\"]\n";
    append(
        &job,
        &pipeline(&format!("{name}-b"), "", "").replace("command = [\"/bin/sh\", \"-c\", '']\n", missing),
    );
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    let branch = |status: &serde_json::Value| status["pipelines"][1]["branches"][0].clone();
    let mut status = serde_json::Value::Null;
    wait_for("the second pipeline is parked", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        status = job.status("config.toml").unwrap_or_default();
        branch(&status)["state"] == "parked"
    });
    let said = branch(&status).to_string();
    assert!(
        said.contains("no-such-program-anywhere") && said.contains("in PATH"),
        "{said}"
    );
    let mut pid = String::new();
    wait_for("the first program runs", LIMIT, || {
        pid = fs::read_to_string(job.dir.path().join("pid")).unwrap_or_default();
        !pid.trim().is_empty()
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    wait_for("the program is gone", LIMIT, || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
}
