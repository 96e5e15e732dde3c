//! The shipped `config.toml` is the main job and the manual: it runs, and it says of every key what the code does.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::{collections::BTreeMap, net::SocketAddr, path::Path, time::Duration};

use aqueduct::config::{
    self, Environment, SHIPPED,
    keys::{self, Fallback, Key, Kind},
    settings::*,
};

fn home() -> Environment {
    Environment::of([("HOME", "/home/ada")])
}

fn parsed(text: &str) -> Settings {
    match config::parse(Path::new("config.toml"), text, &home()) {
        Ok(loaded) => loaded.settings,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn http(settings: &Settings) -> &HttpSource {
    match &settings.pipelines[0].source {
        Source::Http(http) => http,
        Source::Exec(_) | Source::None => panic!("the source is http"),
    }
}

/// What the file says about one key: the value on its line, and the comment above it.
struct Entry {
    value: String,
    comment: String,
}

/// A line `# key = value` is a key that is not set.
fn uncommented(line: &str) -> &str {
    let Some(rest) = line.strip_prefix("# ") else {
        return line;
    };
    let Some((name, _)) = rest.split_once(" = ") else {
        return line;
    };
    let is_key = name
        .trim_matches('"')
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "_.-".contains(letter));
    if is_key { rest } else { line }
}

/// All keys of the file, also those that are not set, by table and name.
fn entries() -> BTreeMap<(String, String), Entry> {
    let (mut entries, mut table, mut comment) = (BTreeMap::new(), String::new(), String::new());
    let mut is_in_text = false;
    for line in SHIPPED.lines() {
        let line = uncommented(line);
        if is_in_text {
            is_in_text = !line.starts_with("\"\"\"");
        } else if let Some(prose) = line.strip_prefix('#') {
            comment = format!("{comment}{prose}");
        } else if line.starts_with('[') {
            let several = line.starts_with("[[");
            let name = line.trim_matches(['[', ']']);
            let head = name.replacen("pipeline", "pipeline[]", 1);
            table = if several && name != "pipeline" {
                format!("{head}[]")
            } else {
                head
            };
            if let Some((parent, map)) = table.rsplit_once('.') {
                let entry = Entry {
                    value: String::new(),
                    comment: std::mem::take(&mut comment),
                };
                entries.insert((parent.to_owned(), map.to_owned()), entry);
            }
            comment.clear();
        } else if let Some((name, value)) = line.split_once(" = ") {
            let (table, name) = match name.rsplit_once('.') {
                Some((below, name)) if !name.ends_with('"') => (format!("{table}.{below}"), name),
                _ => (table.clone(), name),
            };
            let entry = Entry {
                value: value.to_owned(),
                comment: std::mem::take(&mut comment),
            };
            assert!(
                entries.insert((table, name.to_owned()), entry).is_none(),
                "{name} is there twice"
            );
            is_in_text = value == "\"\"\"";
        } else {
            assert_eq!(line, "", "this line is neither a comment nor a key");
            comment.clear();
        }
    }
    entries
}

#[test]
fn the_shipped_config_runs_as_it_is() {
    let loaded = config::load(Path::new("config.toml"), &home()).unwrap();
    assert_eq!(loaded.notes, []);
    let pipeline = &loaded.settings.pipelines[0];
    assert_eq!((&*pipeline.name, &*pipeline.topic.name), ("users", "users"));
    let table = &pipeline.tables[0];
    assert_eq!(
        (table.name.as_str(), table.mode, table.create),
        ("users", Mode::Upsert, true)
    );
    assert_eq!(table.key, ["uuid"]);
    let http = http(&loaded.settings);
    assert_eq!(http.url.as_str(), "https://randomuser.me/api/");
    assert_eq!(
        http.query,
        [
            ("results".to_owned(), "1000".to_owned()),
            ("seed".to_owned(), "aqueduct".to_owned())
        ]
    );
    assert_eq!(
        (http.records_text.as_str(), http.key_text.as_deref()),
        ("$.results[*]", Some("$.login.uuid"))
    );
    let stop = Stop::MaxRecords(10_000);
    assert_eq!(
        http.paginate,
        Paginate::Page {
            param: "page".to_owned(),
            first: 1,
            stop
        }
    );
}

#[test]
fn the_shipped_rate_stays_below_the_limit_of_the_api() {
    let settings = parsed(SHIPPED);
    let http = http(&settings);
    let rate = http.rate.expect("a rate is set");
    let results: u64 = http.query[0].1.parse().unwrap();
    // A limiter may let a whole burst go and refill during the same window.
    let windows = 300_f64 / rate.per.as_secs_f64();
    let most = f64::from(rate.count) * (1.0 + windows) * results as f64;
    assert!(most <= 20_000.0, "{most} people in 300 s");
}

#[test]
fn the_manual_names_every_key_with_its_default_and_its_sentence() {
    let entries = entries();
    for Key {
        table,
        name,
        kind,
        default,
        sentence,
    } in keys::all()
    {
        if matches!(kind, Kind::Planned(_)) {
            continue;
        }
        let entry = entries
            .get(&((*table).to_owned(), (*name).to_owned()))
            .unwrap_or_else(|| panic!("config.toml does not name {name} in {table}"));
        let words: Vec<&str> = entry.comment.split_whitespace().collect();
        let comment = words.join(" ");
        assert!(
            comment.contains(sentence),
            "{table}.{name} says {comment:?}, but it is {sentence:?}"
        );
        match default {
            Fallback::Is(value) => {
                let is_said = comment.contains(&format!("Default: {value}"));
                assert!(
                    entry.value == *value || is_said,
                    "{table}.{name} is {value}, not {}",
                    entry.value
                );
            }
            Fallback::Required => assert!(comment.contains("Required"), "{table}.{name} is required"),
            Fallback::Unset => assert!(comment.contains("Default: none"), "{table}.{name} has no default"),
            Fallback::Follows(words) => {
                assert!(
                    comment.contains(&format!("Default: {words}")),
                    "{table}.{name} is by default {words}"
                );
            }
        }
    }
}

#[test]
fn the_manual_names_no_key_that_does_not_exist() {
    let is_map = |table: &str| {
        let (parent, name) = table.rsplit_once('.').unwrap_or(("", table));
        keys::all().any(|key| key.table == parent && key.name == name && matches!(key.kind, Kind::Map))
    };
    for (table, name) in entries().keys() {
        let is_table = keys::all().any(|key| {
            let below = format!("{table}.{name}");
            key.table == below || key.table == format!("{below}[]")
        });
        let is_key = keys::all().any(|key| key.table == table && key.name == name);
        assert!(is_key || is_table || is_map(table), "{name} in {table}");
    }
}

#[test]
fn every_line_of_the_manual_can_be_uncommented() {
    let text: Vec<&str> = SHIPPED.lines().map(uncommented).collect();
    let table: toml::Table = text.join("\n").parse().expect("it is TOML");
    assert_eq!(table["supervision"]["max_restarts"].as_integer(), Some(5));
    assert_eq!(
        table["pipeline"][0]["source"]["headers"]["Authorization"].as_str(),
        Some("Bearer ${TOKEN}")
    );
}

#[test]
fn what_is_not_written_has_its_default() {
    let settings = parsed(
        r#"
        [[pipeline]]
        name = "p"
        schema = "id INT"
        [pipeline.source]
        kind = "http"
        url = "https://host/"
        records = "$[*]"
        [[pipeline.table]]
        name = "t"
        mode = "append"
        sql = "SELECT id FROM records"
        "#,
    );
    let daemon = &settings.daemon;
    assert_eq!(daemon.state_dir, Path::new("/home/ada/.local/state/aqueduct"));
    assert_eq!(daemon.http, Some(SocketAddr::from(([127, 0, 0, 1], 8900))));
    assert_eq!(
        (daemon.log_level, daemon.log_format),
        (LogLevel::Info, LogFormat::Terminal)
    );
    assert_eq!(
        (&settings.kafka.brokers, settings.kafka.properties.len()),
        (&Brokers::Embedded, 0)
    );
    let postgres = &settings.postgres;
    assert_eq!((&postgres.url, &postgres.migrations), (&PostgresUrl::Embedded, &None));
    assert_eq!((postgres.migrate, postgres.synchronous_commit), (true, false));
    let supervision = &settings.supervision;
    assert_eq!(
        (supervision.max_restarts, supervision.on_escalate),
        (5, OnEscalate::Park)
    );
    assert_eq!(
        (supervision.window, supervision.backoff_max),
        (Duration::from_secs(60), Duration::from_secs(60))
    );
    assert_eq!(
        (supervision.backoff, supervision.grace),
        (Duration::from_millis(500), Duration::from_secs(15))
    );
    assert_eq!(supervision.stall_after, Duration::from_secs(120));
    let pipeline = &settings.pipelines[0];
    assert_eq!((pipeline.engine, pipeline.on_nul), (Engine::Datafusion, OnNul::Reject));
    assert_eq!(
        pipeline.dead_letters_max,
        Rate {
            count: 100,
            per: Duration::from_secs(60)
        }
    );
    assert_eq!(
        (
            &*pipeline.topic.name,
            pipeline.topic.partitions,
            pipeline.topic.replication
        ),
        ("p", 4, 1)
    );
    let actors = Actors {
        fetchers: 1,
        producers: 1,
        consumers: 1,
        transformers: 2,
        writers: 2,
    };
    assert_eq!(pipeline.actors, actors);
    assert_eq!(
        pipeline.batch,
        Batch {
            rows: 20_000,
            bytes: 8 << 20,
            age: Duration::from_millis(200)
        }
    );
    let http = http(&settings);
    assert_eq!(
        (http.timeout, http.rate, http.every),
        (Duration::from_secs(30), None, None)
    );
    assert_eq!((&http.paginate, &http.shards), (&Paginate::Single, &Shards::Stripes(1)));
    let table = &pipeline.tables[0];
    assert_eq!((table.create, &table.order_by, table.key.len()), (false, &None, 0));
}

#[test]
fn the_demo_is_the_main_job_on_the_simulated_api() {
    let state = Path::new("/tmp/aqueduct-demo");
    let settings = config::demo(2_500, "http://127.0.0.1:4000/api/", None, None, state).unwrap();
    assert_eq!(settings.daemon.state_dir, state);
    assert_eq!(settings.daemon.http, Some(SocketAddr::from(([127, 0, 0, 1], 0))));
    assert_eq!(
        (&settings.kafka.brokers, &settings.postgres.url),
        (&Brokers::Embedded, &PostgresUrl::Embedded)
    );
    let http = http(&settings);
    assert_eq!((http.url.as_str(), http.rate), ("http://127.0.0.1:4000/api/", None));
    assert!(matches!(
        http.paginate,
        Paginate::Page {
            stop: Stop::MaxRecords(2_500),
            ..
        }
    ));
    assert_eq!(settings.pipelines[0].schema, parsed(SHIPPED).pipelines[0].schema);

    let own = config::demo(1, "http://h/", Some("broker:9092"), Some("postgres://ada@db/x"), state).unwrap();
    assert_eq!(own.kafka.brokers, Brokers::Hosts("broker:9092".to_owned()));
    assert!(matches!(own.postgres.url, PostgresUrl::Url(url) if url.expose() == "postgres://ada@db/x"));
}

#[test]
fn the_demo_names_the_option_that_is_wrong() {
    let problems = config::demo(0, "http://h/", Some("broker"), Some("db:hunter2"), Path::new("/tmp/x")).unwrap_err();
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "aqueduct demo: --kafka: \"broker\" is not a list of brokers; write \"embedded\" or \"host:9092,host:9092\"",
            "aqueduct demo: --postgres: is not an address of PostgreSQL; write \"embedded\" or \
             \"postgres://user@host:5432/database\"",
            "aqueduct demo: --records: 0 is out of range; write 1 or more (records)",
        ]
    );
}
