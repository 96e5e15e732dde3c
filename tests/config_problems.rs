//! A configuration that is wrong in any way: every problem at once, each with its line and what to do about it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::path::Path;

use aqueduct::config::{self, Environment};

/// A configuration that runs. Every other one in this file differs from it in one place.
const GOOD: &str = r#"[daemon]
http = ""
[kafka]
brokers = "host:9092"
[postgres]
url = "postgres://ada:hunter2@db/x"
[supervision]
grace = "5s"
[[pipeline]]
name = "people"
schema = "id INT"
on_nul = "strip"
dead_letters.max = "1 in 1m"
[pipeline.source]
kind = "http"
url = "https://host/people?token=hunter2"
records = "$.people[*]"
key = "$.id"
timeout = "10s"
[pipeline.source.paginate]
kind = "page"
stop = "empty"
[pipeline.topic]
partitions = 2
[pipeline.actors]
writers = 2
[pipeline.batch]
bytes = "1MiB"
[[pipeline.table]]
name = "people"
mode = "upsert"
key = ["id"]
sql = "SELECT id FROM records"
"#;

fn problems(text: &str) -> Vec<String> {
    let environment = Environment::of([("HOME", "/home/ada")]);
    match config::parse(Path::new("config.toml"), text, &environment) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_good_configuration_is_good() {
    assert_eq!(problems(GOOD), Vec::<String>::new());
}

/// What is replaced in the good configuration, by what, and what is said about it.
const ONE_PROBLEM: &[(&str, &str, &str)] = &[
    // Keys.
    (
        "brokers =",
        "broker =",
        "4: kafka.broker: unknown key; did you mean \"brokers\"?",
    ),
    (
        "http = \"\"",
        "grace = \"1s\"",
        "2: daemon.grace: unknown key in [daemon]; it belongs in [supervision]",
    ),
    (
        "[supervision]",
        "[supervison]",
        "7: supervison: unknown key; did you mean \"supervision\"?",
    ),
    (
        "[pipeline.batch]",
        "[batch]",
        "27: batch: unknown key in the top level; it belongs in [pipeline.batch]",
    ),
    (
        "http = \"\"",
        "color = true",
        "2: daemon.color: unknown key; remove it: [daemon] has state_dir, http, log_level, log_format and \
         probe_every",
    ),
    (
        "schema =",
        "schemas =",
        "11: pipeline.people.schemas: unknown key; did you mean \"schema\"?",
    ),
    (
        "[kafka]",
        "[[kafka]]",
        "3: kafka: there is only one; write [kafka], with single brackets",
    ),
    (
        "[daemon]\nhttp = \"\"",
        "daemon = 1\n",
        "1: daemon: expected a table, found a whole number; write [daemon] and its keys below",
    ),
    // Types and forms.
    (
        "\"5s\"",
        "5",
        "8: supervision.grace: expected a duration in quotes like \"30s\" or \"1h 5m\", found a whole number",
    ),
    (
        "\"5s\"",
        "\"5 sacks\"",
        "8: supervision.grace: \"5 sacks\" is not a duration; write for example \"30s\", \"200ms\" or \"1h 5m\"",
    ),
    (
        "\"5s\"",
        "\"5h\"",
        "8: supervision.grace: \"5h\" is out of range; write \"1ms\" to \"1h\"",
    ),
    (
        "\"1MiB\"",
        "\"1MiBs\"",
        "28: pipeline.people.batch.bytes: \"1MiBs\" is not a size; write for example \"16MiB\" or \"512KiB\"",
    ),
    (
        "\"1MiB\"",
        "\"1048576\"",
        "28: pipeline.people.batch.bytes: \"1048576\" is not a size; write for example \"16MiB\" or \"512KiB\"",
    ),
    (
        "\"1MiB\"",
        "\"2GiB\"",
        "28: pipeline.people.batch.bytes: \"2GiB\" is out of range; write \"1KiB\" to \"1GiB\"",
    ),
    (
        "\"1 in 1m\"",
        "\"1/m\"",
        "13: pipeline.people.dead_letters.max: \"1/m\" is not a rate; write for example \"100 in 1m\"",
    ),
    (
        "writers = 2",
        "writers = 0",
        "26: pipeline.people.actors.writers: 0 is out of range; write 1 to 256 (writers)",
    ),
    (
        "writers = 2",
        "writers = 2.5",
        "26: pipeline.people.actors.writers: expected a whole number of writers, without quotes, found a number with a fraction",
    ),
    (
        "http = \"\"",
        "http = \"localhost:80\"",
        "2: daemon.http: \"localhost:80\" is not an IP address with a port; write for example \"127.0.0.1:8900\", or \"\" for none",
    ),
    (
        "\"host:9092\"",
        "\"host\"",
        "4: kafka.brokers: \"host\" is not a list of brokers; write \"embedded\" or \"host:9092,host:9092\"",
    ),
    (
        "\"host:9092\"",
        "\"Embeded\"",
        "4: kafka.brokers: \"Embeded\" is unknown; did you mean \"embedded\"?",
    ),
    (
        "postgres://",
        "mysql://",
        "6: postgres.url: is not an address of PostgreSQL; write \"embedded\" or \"postgres://user@host:5432/database\"",
    ),
    (
        "https://",
        "ftp://",
        "16: pipeline.people.source.url: is not an address that can be fetched; write for example \"https://host/path\"",
    ),
    (
        "\"$.people[*]\"",
        "\"people\"",
        "17: pipeline.people.source.records: \"people\" is not a JSONPath; write for example \"$.results[*]\"",
    ),
    (
        "name = \"people\"\nschema",
        "name = \"People\"\nschema",
        "10: pipeline.People.name: \"People\" is not a name; write a-z, 0-9, _ and -, a letter first",
    ),
    (
        "\"strip\"",
        "\"stirp\"",
        "12: pipeline.people.on_nul: \"stirp\" is unknown; did you mean \"strip\"? (one of \"reject\", \"strip\" or \"replace\")",
    ),
    (
        "[\"id\"]",
        "\"id\"",
        "32: pipeline.people.table.people.key: expected a list of texts like [\"uuid\"], found a text",
    ),
    (
        "name = \"people\"\nmode",
        "name = \"aqueduct.people\"\nmode",
        "30: pipeline.people.table.aqueduct.people.name: \"aqueduct.people\" lies in a schema that is not for your tables; write another one",
    ),
    // What is missing, and what does not go together.
    (
        "url = \"https://host/people?token=hunter2\"\n",
        "",
        "14: pipeline.people.source.url: missing, and it has no default. The address, without the parameters that query and paginate add",
    ),
    (
        "stop = \"empty\"\n",
        "",
        "20: pipeline.people.source.paginate: kind = \"page\" needs a stop rule, or it never ends; write one of stop = \"empty\" \
         (a page without records), stop = \"short\" (a page with fewer records than the one before), last = N (the last page's \
         number), max_records = N or total = \"$.path\" (the number of all records, in the page)",
    ),
    (
        "stop = \"empty\"",
        "last = 5\nmax_records = 9",
        "23: pipeline.people.source.paginate.max_records: last and max_records are 2 stop rules; keep exactly one",
    ),
    (
        "stop = \"empty\"",
        "first = 7\nlast = 5",
        "23: pipeline.people.source.paginate.last: 5 comes before the first page; write first or more",
    ),
    (
        "kind = \"page\"",
        "kind = \"single\"",
        "22: pipeline.people.source.paginate.stop: has no meaning with kind = \"single\", one request; remove it, or write kind = \"page\"",
    ),
    (
        "timeout = \"10s\"",
        "query = { page = 3 }",
        "19: pipeline.people.source.query: has \"page\", which paginate sets for every page; remove it there",
    ),
    (
        "timeout = \"10s\"",
        "shards = [{ nat = \"fr\" }, { nat = \"fr\" }]",
        "19: pipeline.people.source.shards: number 1 (from 0) equals an earlier one; remove it",
    ),
    (
        "key = [\"id\"]\n",
        "",
        "29: pipeline.people.table.people.key: missing: mode = \"upsert\" knows a row by its key; write for example key = [\"uuid\"]",
    ),
    (
        "mode = \"upsert\"\nkey = [\"id\"]",
        "mode = \"append\"\norder_by = \"id\"",
        "32: pipeline.people.table.people.order_by: has no meaning with mode = \"append\", which keeps every row; remove it, or write mode = \"upsert\"",
    ),
    (
        "grace = \"5s\"",
        "backoff = \"5m\"",
        "8: supervision.backoff: backoff is longer than backoff_max; make backoff_max the longer one",
    ),
    (
        "url = \"postgres",
        "migrations = \"no/such/place\"\nurl = \"postgres",
        "6: postgres.migrations: there is no directory \"no/such/place\"; create it or remove the key",
    ),
    (
        "brokers = \"host:9092\"",
        "properties = { \"group.id\" = \"x\" }",
        "4: kafka.properties.group.id: is set by aqueduct itself: the groups bear the pipeline's name; remove it",
    ),
    (
        "brokers = \"host:9092\"",
        "properties = { \"partition.assignment.strategy\" = \"range\" }",
        "4: kafka.properties.partition.assignment.strategy: is set by aqueduct itself: partitions are handed over cooperatively; remove it",
    ),
    (
        "brokers = \"host:9092\"",
        "properties = { \"group.instance.id\" = \"me\" }",
        "4: kafka.properties.group.instance.id: is set by aqueduct itself: the members of one daemon would push each other out; remove it",
    ),
    (
        "brokers = \"host:9092\"",
        "properties = { sasl.password = \"hunter2\" }",
        "4: kafka.properties.sasl: expected a text, a number, true or false, found a table; a name with dots in it is written in quotes",
    ),
    (
        "timeout = \"10s\"",
        "headers = { X = \"hunter2\\nY: 1\" }",
        "19: pipeline.people.source.headers.X: has a control character in its value; remove it (a line break, perhaps)",
    ),
    // What a later version will have.
    (
        "schema =",
        "engine = \"spark\"\nschema =",
        "11: pipeline.people.engine: \"spark\" is not built yet; this version has \"datafusion\"",
    ),
    (
        "kind = \"http\"",
        "kind = \"exex\"",
        "15: pipeline.people.source.kind: \"exex\" is unknown; did you mean \"exec\"? (one of \"http\", \"exec\" or \"none\")",
    ),
    (
        "mode = \"upsert\"",
        "mode = \"merge\"",
        "31: pipeline.people.table.people.mode: \"merge\" is not built yet; this version has \"append\" and \"upsert\"",
    ),
    // Not TOML.
    (
        "http = \"\"",
        "http = ",
        "2: not valid TOML: string values must be quoted, expected literal string",
    ),
    (
        "http = \"\"",
        "http = \"\"\nhttp = \"\"",
        "3: http: written twice; keep one of them",
    ),
];

#[test]
fn each_problem_has_its_line_and_its_remedy() {
    for (good, bad, expected) in ONE_PROBLEM {
        assert!(GOOD.contains(good), "{good} is not in the good configuration");
        assert_eq!(
            problems(&GOOD.replacen(good, bad, 1)),
            [format!("config.toml:{expected}")],
            "{good} -> {bad}"
        );
    }
}

#[test]
fn all_problems_are_reported_at_once_in_the_order_of_the_file() {
    // As many as can be told apart in one file: those that leave the number of lines as it is, one for each place.
    let mut text = GOOD.to_owned();
    let mut expected: Vec<(u32, String)> = Vec::new();
    for (good, bad, problem) in ONE_PROBLEM {
        let line = problem.split(':').next().unwrap().parse().unwrap();
        let is_in_place = good.matches('\n').count() == bad.matches('\n').count() && !problem.contains("TOML");
        let is_structure =
            good.contains('[') || good.contains("name") || good.contains("kind") || good.contains("mode");
        let is_new = expected.iter().all(|(taken, _)| *taken != line) && text.matches(good).count() == 1;
        if is_in_place && !is_structure && is_new {
            text = text.replacen(good, bad, 1);
            expected.push((line, format!("config.toml:{problem}")));
        }
    }
    expected.sort();
    let expected: Vec<String> = expected.into_iter().map(|(_, text)| text).collect();
    assert!(expected.len() >= 10, "only {}", expected.len());
    assert_eq!(problems(&text), expected);
}

#[test]
fn a_name_is_given_once() {
    let second =
        GOOD[GOOD.find("[[pipeline]]").unwrap()..].replace("[[pipeline]]\n", "[[pipeline]]\ntopic.name = \"people\"\n");
    let second = second
        .replacen("[pipeline.topic]\n", "", 1)
        .replacen("partitions = 2\n", "", 1);
    let twice = format!("{GOOD}{second}");
    assert_eq!(
        problems(&twice),
        ["config.toml:36: pipeline.people.name: another pipeline is named \"people\" too; give it a name of its own"]
    );
    let other = twice.replacen(
        "topic.name = \"people\"\nname = \"people\"",
        "topic.name = \"people\"\nname = \"others\"",
        1,
    );
    assert_eq!(
        problems(&other),
        [
            "config.toml:35: pipeline.others.topic.name: the topic would belong to pipeline \"others\" and to pipeline \"people\"; \
             take another name"
        ]
    );
    let cursors = other.replacen("topic.name = \"people\"", "topic.name = \"people.cursors\"", 1);
    assert_eq!(
        problems(&cursors),
        [
            "config.toml:35: pipeline.others.topic.name: the topic would belong to pipeline \"others\" and to the cursors of \
             pipeline \"people\"; take another name"
        ]
    );
    let table = format!("{GOOD}[[pipeline.table]]\nname = \"public.people\"\nmode = \"append\"\nsql = \"SELECT 1\"\n");
    assert_eq!(
        problems(&table),
        [
            "config.toml:35: pipeline.people.table.public.people.name: another table of this pipeline has this name \
             too; put both queries into one"
        ]
    );
}

#[test]
fn there_has_to_be_something_to_do() {
    assert_eq!(
        problems(""),
        ["config.toml: pipeline: missing: there is nothing to do; write at least one [[pipeline]]"]
    );
    assert_eq!(
        problems(&GOOD[..GOOD.find("[[pipeline.table]]").unwrap()]),
        [
            "config.toml:9: pipeline.people.table: missing: the records go nowhere; write at least one [[pipeline.table]]"
        ]
    );
}

#[test]
fn a_syntax_error_hides_no_other_problem_and_makes_up_none() {
    let text = GOOD
        .replacen("brokers = \"host:9092\"", "brokers = \"host", 1)
        .replacen("writers = 2", "writer = 2", 1);
    let text = text.replacen("schema = \"id INT\"\n", "schema\n", 1);
    let problems = problems(&text);
    assert!(
        problems[0].starts_with("config.toml:4: not valid TOML: "),
        "{problems:#?}"
    );
    assert!(
        problems[1].starts_with("config.toml:11: not valid TOML: "),
        "{problems:#?}"
    );
    assert_eq!(
        problems[2..],
        ["config.toml:26: pipeline.people.actors.writer: unknown key; did you mean \"writers\"?"]
    );
}

#[test]
fn keys_behind_a_broken_header_are_not_taken_for_those_of_another_table() {
    for header in ["[postgres", "[post gres]", "[]", "[[postgres]"] {
        let text = GOOD
            .replacen("[postgres]", header, 1)
            .replacen("writers = 2", "writer = 2", 1);
        let problems = problems(&text);
        assert!(
            problems[0].starts_with("config.toml:5: not valid TOML: "),
            "{header}: {problems:#?}"
        );
        let other = ["config.toml:26: pipeline.people.actors.writer: unknown key; did you mean \"writers\"?"];
        assert_eq!(problems[1..], other, "{header}");
    }
}

#[test]
fn no_slip_of_the_pen_makes_it_panic_or_print_a_secret() {
    let slips = [
        "",
        "\"",
        "[",
        "{",
        "=",
        "\n",
        "\u{0}",
        "é",
        "${",
        "99999999999999999999",
    ];
    for place in 0..GOOD.len() {
        // Another slip at each place, and all of them at places next to each other.
        let slip = slips[place % slips.len()];
        for text in [
            GOOD[..place].to_owned(),
            format!("{}{slip}{}", &GOOD[..place], &GOOD[place + 1..]),
        ] {
            let problems = problems(&text);
            assert!(
                problems.iter().all(|problem| !problem.contains("hunter2")),
                "{text}: {problems:#?}"
            );
        }
    }
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let read = |name: &str| match config::load(&dir.path().join(name), &Environment::default()) {
        Ok(_) => panic!("{name} was read"),
        Err(problems) => problems[0].to_string(),
    };
    assert!(read("absent.toml").contains("cannot be read: No such file or directory"));
    std::fs::write(dir.path().join("latin.toml"), b"[daemon]\n# caf\xe9\n").unwrap();
    assert!(read("latin.toml").contains("latin.toml:2: is not UTF-8 text; save it as UTF-8"));
}

#[test]
fn what_works_but_differently_is_noted() {
    let text = GOOD.replacen("\"host:9092\"", "\"embedded\"\nproperties = { \"linger.ms\" = 5 }", 1);
    let text = text
        .replacen("partitions = 2", "partitions = 2\nreplication = 3", 1)
        .replacen("writers = 2", "writers = 3", 1);
    let loaded = config::parse(
        Path::new("config.toml"),
        &text,
        &Environment::of([("HOME", "/home/ada")]),
    )
    .unwrap();
    let notes: Vec<String> = loaded.notes.iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "config.toml:5: kafka.properties: has no effect with brokers = \"embedded\"",
            "config.toml:26: pipeline.people.topic.replication: has no effect with brokers = \"embedded\", which keeps one \
             copy on this machine's disk",
            "config.toml:28: pipeline.people.actors.writers: 1 of 3 will have nothing to do: there are 2 partitions",
        ]
    );
}

#[test]
fn a_later_check_reports_at_the_line_within_the_text() {
    let text = GOOD.replacen("\"SELECT id FROM records\"", "'''\nSELECT\n  id\nFROM records\n'''", 1);
    let loaded = config::parse(Path::new("c.toml"), &text, &Environment::of([("HOME", "/home/ada")])).unwrap();
    let of_sql = loaded
        .places
        .problem("people", Some("people"), Some((2, 3)), "no column id");
    assert_eq!(
        of_sql.to_string(),
        "c.toml:35: pipeline.people.table.people.sql: no column id"
    );
    assert_eq!(text.lines().nth(34), Some("  id"));
    let of_schema = loaded.places.problem("people", None, None, "no type INT");
    assert_eq!(of_schema.to_string(), "c.toml:11: pipeline.people.schema: no type INT");
}
