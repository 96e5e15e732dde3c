use std::{fs, process::Command};

use crate::load::postgres::TestDatabase;

const QUERY: &str = "SELECT id, tags, person AS home, id AS doubled, text AS code FROM records";

#[test]
fn check_live_names_pipeline_table_column_both_types_and_the_remedy() {
    let database = TestDatabase::empty();
    database.execute(
        "CREATE TYPE address AS (street text); CREATE TABLE t (id bigint, tags text, home address, \
         doubled bigint GENERATED ALWAYS AS (id * 2) STORED, code bytea, more text NOT NULL)",
    );
    let (code, said) = check(&database, "t", "");
    assert_eq!(code, Some(64), "{said}");
    let line = said
        .lines()
        .find(|line| line.starts_with("PROBLEM: pipeline p: table t: "))
        .unwrap();
    for sentence in [
        "column \"tags\": the query yields ARRAY<STRING>, the table takes text; make the column jsonb",
        "column \"home\" is of composite type address, which cannot be written; make it jsonb",
        "column \"code\": the query yields STRING, the table takes bytea; write decode(…, 'base64') or decode(…, 'hex') AS \
         \"code\" in the query",
    ] {
        assert!(line.contains(sentence), "{line}");
    }
    database.execute(
        "ALTER TABLE t ALTER home TYPE jsonb USING NULL; ALTER TABLE t ALTER tags TYPE text[] USING NULL; \
         ALTER TABLE t ALTER code TYPE text",
    );
    let (code, said) = check(&database, "t", "");
    assert_eq!(code, Some(64), "{said}");
    for sentence in [
        "column \"doubled\" is generated always; leave it out of the query",
        "column \"more\" is NOT NULL without a default, and the query does not yield it; add it to the query",
    ] {
        assert!(said.contains(sentence), "{said}");
    }
    database.execute("ALTER TABLE t DROP doubled; ALTER TABLE t ADD doubled bigint; ALTER TABLE t DROP more");
    let (code, said) = check(&database, "t", "");
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = check(&database, "other", "create = true\n");
    assert_eq!(code, Some(0), "{said}");
    let statement = "CREATE TABLE IF NOT EXISTS \"other\" (\"id\" bigint, \"tags\" text[], \"home\" jsonb";
    assert!(said.contains(statement), "{said}");
}

fn check(database: &TestDatabase, table: &str, more: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = format!(
        "[postgres]\nurl = \"{}\"\n[[pipeline]]\nname = \"p\"\n\
         schema = \"id BIGINT, text STRING, tags ARRAY<STRING>, person STRUCT<name: STRING>\"\n\
         [pipeline.source]\nkind = \"none\"\n[[pipeline.table]]\nname = \"{table}\"\nmode = \"append\"\n{more}sql = \"{QUERY}\"\n",
        database.url().expose()
    );
    fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_aqueduct"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AQUEDUCT__")) {
        command.env_remove(name);
    }
    let output = command.args(["check", "--live", "-c"]).arg(&path).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}
