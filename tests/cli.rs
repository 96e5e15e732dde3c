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
    (
        output.status.code(),
        text.replace(path.to_str().unwrap(), "config.toml"),
    )
}

fn pipeline(schema: &str, sql: &str) -> String {
    format!(
        "[[pipeline]]\nname = \"p\"\n{schema}\n[pipeline.source]\nkind = \"none\"\n[[pipeline.table]]\nname = \"t\"\nmode = \"append\"\nsql = \"{sql}\"\n"
    )
}

#[test]
fn the_shipped_configuration_is_sound() {
    let path = Path::new("config.toml");
    let output = aqueduct(&["check", "-c", path.to_str().unwrap()]);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_bad_configuration_says_all_its_problems_with_line_and_remedy_and_exits_64() {
    let text = format!(
        "[kafka]\nbroker = \"embedded\"\n[supervision]\ngrace = \"soon\"\nmax_restarts = -1\n{}",
        pipeline(SCHEMA, "SELECT id FROM records")
    );
    let (code, said) = check(&text);
    assert_eq!(code, Some(64), "{said}");
    for part in [
        "config.toml:2:",
        "did you mean \"brokers\"?",
        "config.toml:4:",
        "config.toml:5:",
        "3 problems",
    ] {
        assert!(said.contains(part), "{part} is not in: {said}");
    }
}

#[test]
fn sql_whose_answer_depends_on_where_a_batch_ends_is_refused_with_its_line() {
    for (sql, what) in [
        ("SELECT DISTINCT id FROM records", "DISTINCT"),
        ("SELECT count(*) AS n FROM records", "an aggregate"),
        ("SELECT name FROM records GROUP BY name", "GROUP BY"),
        (
            "SELECT id, row_number() OVER (ORDER BY id) AS n FROM records",
            "a window function",
        ),
        ("SELECT id FROM records LIMIT 1", "LIMIT"),
        ("SELECT a.id FROM records a JOIN records b ON a.id = b.id", "a join"),
    ] {
        let (code, said) = check(&pipeline(SCHEMA, sql));
        assert_eq!(code, Some(64), "{sql}: {said}");
        let sentence = format!(
            "config.toml:9: pipeline.p.table.t.sql: the query contains {what}: its answer would depend on where a batch ends; "
        );
        // What to write instead is another thing for each.
        let remedy = said
            .strip_prefix(&sentence)
            .and_then(|rest| rest.strip_suffix("\n1 problem\n"));
        assert!(remedy.is_some_and(|remedy| remedy.len() > 20), "{sql}: {said}");
    }
}

/// Sound; each bad one differs from it in one place.
const SOUND: &str = r#"[daemon]
http = ""
[kafka]
brokers = "host:9092"
[postgres]
url = "postgres://ada:hunter2@db/x"
[supervision]
grace = "5s"
[[pipeline]]
name = "people"
schema = "id INT, name STRING"
on_nul = "strip"
dead_letters.max = "1 in 1m"
[pipeline.source]
kind = "http"
url = "https://host/people"
records = "$.people[*]"
[pipeline.source.paginate]
kind = "page"
stop = "empty"
[pipeline.batch]
bytes = "1MiB"
[[pipeline.table]]
name = "people"
mode = "upsert"
key = ["id"]
sql = "SELECT id, name FROM records"
"#;

/// What is written instead of what, at which line that shows, and the words that say what was seen and what to do.
const TWENTY: [(&str, &str, u32, [&str; 2]); 20] = [
    (
        "brokers",
        "broker",
        4,
        ["kafka.broker: unknown key", "did you mean \"brokers\"?"],
    ),
    (
        "http = \"\"",
        "grace = \"1s\"",
        2,
        ["daemon.grace: unknown key in [daemon]", "it belongs in [supervision]"],
    ),
    (
        "http = \"\"",
        "http = ",
        2,
        ["not valid TOML", "string values must be quoted"],
    ),
    (
        "on_nul",
        "name = \"others\"\non_nul",
        12,
        ["name: written twice", "keep one of them"],
    ),
    (
        "\"host:9092\"",
        "\"host\"",
        4,
        [
            "kafka.brokers: \"host\" is not a list of brokers",
            "write \"embedded\" or \"host:9092,host:9092\"",
        ],
    ),
    (
        "brokers = \"host:9092\"",
        "properties = { \"group.id\" = \"x\" }",
        4,
        ["kafka.properties.group.id: is set by aqueduct itself", "remove it"],
    ),
    (
        "postgres://ada",
        "mysql://ada",
        6,
        [
            "postgres.url: is not an address of PostgreSQL",
            "write \"embedded\" or \"postgres://user@host:5432/database\"",
        ],
    ),
    (
        "hunter2",
        "${NO_SUCH_VARIABLE_OF_AQUEDUCT}",
        6,
        ["NO_SUCH_VARIABLE_OF_AQUEDUCT", "set it"],
    ),
    (
        "\"5s\"",
        "5",
        8,
        [
            "supervision.grace: expected a duration in quotes like \"30s\" or \"1h 5m\"",
            "found a whole number",
        ],
    ),
    (
        "\"5s\"",
        "\"5h\"",
        8,
        ["supervision.grace: \"5h\" is out of range", "write \"1ms\" to \"1h\""],
    ),
    (
        "\"1MiB\"",
        "\"1MiBs\"",
        22,
        [
            "pipeline.people.batch.bytes: \"1MiBs\" is not a size",
            "write for example \"16MiB\"",
        ],
    ),
    (
        "\"1 in 1m\"",
        "\"1/m\"",
        13,
        [
            "pipeline.people.dead_letters.max: \"1/m\" is not a rate",
            "write for example \"100 in 1m\"",
        ],
    ),
    (
        "name = \"people\"\nschema",
        "name = \"People\"\nschema",
        10,
        [
            "pipeline.People.name: \"People\" is not a name",
            "write a-z, 0-9, _ and -, a letter first",
        ],
    ),
    (
        "\"strip\"",
        "\"stirp\"",
        12,
        [
            "pipeline.people.on_nul: \"stirp\" is unknown",
            "did you mean \"strip\"?",
        ],
    ),
    (
        "url = \"https://host/people\"\n",
        "",
        14,
        [
            "pipeline.people.source.url: missing, and it has no default",
            "The address",
        ],
    ),
    (
        "\"$.people[*]\"",
        "\"people\"",
        17,
        [
            "pipeline.people.source.records: \"people\" is not a JSONPath",
            "write for example \"$.results[*]\"",
        ],
    ),
    (
        "stop = \"empty\"\n",
        "",
        18,
        [
            "pipeline.people.source.paginate: kind = \"page\" needs a stop rule",
            "write one of stop = \"empty\"",
        ],
    ),
    (
        "key = [\"id\"]\n",
        "",
        23,
        [
            "pipeline.people.table.people.key: missing: mode = \"upsert\" knows a row by its key",
            "write for example key = [\"uuid\"]",
        ],
    ),
    (
        "id INT",
        "id INTT",
        11,
        ["pipeline.people.schema: INTT is no type of Spark", "did you mean INT?"],
    ),
    (
        "SELECT id, name",
        "SELECT id, nmae",
        27,
        [
            "pipeline.people.table.people.sql: records has no column nmae",
            "did you mean name?",
        ],
    ),
];

#[test]
fn twenty_bad_configs_each_get_their_own_message() {
    assert_eq!(check(SOUND).0, Some(0), "{}", check(SOUND).1);
    let mut sentences = Vec::new();
    for (good, bad, line, words) in TWENTY {
        assert_eq!(SOUND.matches(good).count(), 1, "{good}");
        let (code, said) = check(&SOUND.replacen(good, bad, 1));
        assert_eq!(code, Some(64), "{good} -> {bad}: {said}");
        let (place, rest) = said.split_at(format!("config.toml:{line}: ").len().min(said.len()));
        assert_eq!(place, format!("config.toml:{line}: "), "{good} -> {bad}: {said}");
        for words in words {
            assert!(rest.contains(words), "{good} -> {bad}: {words} is not in: {said}");
        }
        assert!(rest.ends_with("\n1 problem\n"), "{good} -> {bad}: {said}");
        assert!(!said.contains("hunter2"), "{good} -> {bad}: {said}");
        sentences.push(rest.to_owned());
    }
    sentences.sort();
    sentences.dedup();
    assert_eq!(sentences.len(), TWENTY.len());
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
    assert_eq!(
        aqueduct(&["check", "-c", "/nowhere/config.toml"]).status.code(),
        Some(64)
    );
}

#[test]
fn status_without_a_daemon_exits_69_and_names_the_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    // Port 9 (discard) is not a daemon of ours.
    fs::write(
        &path,
        format!(
            "[daemon]\nhttp = \"127.0.0.1:9\"\n{}",
            pipeline(SCHEMA, "SELECT id FROM records")
        ),
    )
    .unwrap();
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
    assert!(
        said.contains("PROBLEM: PostgreSQL") && !said.contains("topsecret"),
        "{said}"
    );
}
