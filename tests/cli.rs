//! The command line's contract: exit codes, and what is said on the way.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

const SCHEMA: &str = "schema = \"id BIGINT, name STRING\"";

fn aqueduct(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aqueduct"));
    // Variables of whoever runs the tests are not part of the configuration.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AQUEDUCT__")) {
        command.env_remove(name);
    }
    command.args(args).output().unwrap()
}

fn check(text: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    fs::write(&path, text).unwrap();
    let output = aqueduct(&["check", "-c", path.to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
    (output.status.code(), text.replace(path.to_str().unwrap(), "config.toml"))
}

fn pipeline(schema: &str, sql: &str) -> String {
    format!(
        "[[pipeline]]\nname = \"p\"\n{schema}\n[pipeline.source]\nkind = \"none\"\n[[pipeline.table]]\nname = \"t\"\nmode = \"append\"\nsql = \"{sql}\"\n"
    )
}

#[test]
fn the_shipped_configuration_is_sound() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let output = aqueduct(&["check", "-c", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_bad_configuration_says_all_its_problems_with_line_and_remedy_and_exits_64() {
    let text = format!(
        "[kafka]\nbroker = \"embedded\"\n[supervision]\ngrace = \"soon\"\nmax_restarts = -1\n{}",
        pipeline(SCHEMA, "SELECT id FROM records")
    );
    let (code, said) = check(&text);
    assert_eq!(code, Some(64), "{said}");
    for part in ["config.toml:2:", "did you mean \"brokers\"?", "config.toml:4:", "config.toml:5:", "3 problems"] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn sql_whose_answer_depends_on_where_a_batch_ends_is_refused_with_its_line() {
    for sql in [
        "SELECT DISTINCT id FROM records",
        "SELECT count(*) AS n FROM records",
        "SELECT id, row_number() OVER (ORDER BY id) AS n FROM records",
        "SELECT id FROM records LIMIT 1",
        "SELECT a.id FROM records a JOIN records b ON a.id = b.id",
    ] {
        let (code, said) = check(&pipeline(SCHEMA, sql));
        assert_eq!(code, Some(64), "{sql}: {said}");
        assert!(said.contains("config.toml:9:") && said.contains("1 problem"), "{sql}: {said}");
    }
}

#[test]
fn a_column_that_is_not_declared_is_refused_by_name() {
    let (code, said) = check(&pipeline(SCHEMA, "SELECT nmae FROM records"));
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("nmae") && said.contains("name"), "{said}");
}

#[test]
fn a_schema_that_does_not_parse_is_refused() {
    let (code, said) = check(&pipeline("schema = \"id BIGNIT\"", "SELECT id FROM records"));
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("BIGNIT"), "{said}");
}

#[test]
fn wrong_usage_exits_64_and_help_exits_0() {
    assert_eq!(aqueduct(&["fly"]).status.code(), Some(64));
    assert_eq!(aqueduct(&["run", "--twice"]).status.code(), Some(64));
    assert_eq!(aqueduct(&["--help"]).status.code(), Some(0));
    assert_eq!(aqueduct(&["--version"]).status.code(), Some(0));
    assert_eq!(aqueduct(&["check", "-c", "/nowhere/config.toml"]).status.code(), Some(64));
}

#[test]
fn status_without_a_daemon_exits_69_and_names_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    // Port 9 (discard) is not a daemon of ours.
    fs::write(&path, format!("[daemon]\nhttp = \"127.0.0.1:9\"\n{}", pipeline(SCHEMA, "SELECT id FROM records"))).unwrap();
    let output = aqueduct(&["status", "-c", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&output.stderr).contains("127.0.0.1:9"));
}

#[test]
fn check_live_says_that_nobody_is_there_and_exits_69() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = format!(
        "[postgres]\nurl = \"postgres://nobody:topsecret@127.0.0.1:9/none\"\n{}",
        pipeline(SCHEMA, "SELECT id FROM records")
    );
    fs::write(&path, text).unwrap();
    let output = aqueduct(&["check", "--live", "-c", path.to_str().unwrap()]);
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("PROBLEM: PostgreSQL") && !said.contains("topsecret"), "{said}");
}
