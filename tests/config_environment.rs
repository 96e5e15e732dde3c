//! What comes from outside the file: variables, overrides, secrets. And that secrets stay secret.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::{fs, path::Path, time::Duration};

use aqueduct::config::{self, Environment, Loaded, Problem, settings::*};

const BASE: &str = r#"
[[pipeline]]
name = "my-users"
schema = "id INT"
[pipeline.source]
kind = "http"
url = "https://host/"
records = "$[*]"
paginate = { kind = "page", last = 3 }
headers = { X-Api-Key = "plain" }
[[pipeline.table]]
name = "app.users"
mode = "append"
sql = "SELECT id FROM records"
"#;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Loaded, Vec<Problem>> {
    let variables = [("HOME", "/home/ada")].iter().chain(variables).copied();
    config::parse(Path::new("config.toml"), text, &Environment::of(variables))
}

fn settings(text: &str, variables: &[(&str, &str)]) -> Settings {
    match parse(text, variables) {
        Ok(loaded) => loaded.settings,
        Err(problems) => panic!("{problems:#?}"),
    }
}

fn problems(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    match parse(text, variables) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn http(settings: &Settings) -> &HttpSource {
    match &settings.pipelines[0].source {
        Source::Http(http) => http,
        Source::Exec(_) | Source::None => panic!("the source is http"),
    }
}

#[test]
fn a_variable_overrides_any_key() {
    let settings = settings(
        BASE,
        &[
            ("AQUEDUCT__KAFKA__BROKERS", "a:9092, b:9092"),
            ("AQUEDUCT__KAFKA__PROPERTIES__SASL_USERNAME", "ada"),
            ("AQUEDUCT__POSTGRES__MIGRATE", "false"),
            ("AQUEDUCT__SUPERVISION__WINDOW", "1h 5m"),
            ("AQUEDUCT__PIPELINE__MY_USERS__BATCH__ROWS", "7"),
            ("AQUEDUCT__PIPELINE__0__BATCH__BYTES", "1.5MiB"),
            ("AQUEDUCT__PIPELINE__MY_USERS__TABLE__APP_USERS__MODE", "upsert"),
            ("AQUEDUCT__PIPELINE__MY_USERS__TABLE__0__KEY", r#"["id", "at"]"#),
            ("AQUEDUCT__PIPELINE__0__SOURCE__PAGINATE__LAST", "9"),
            ("AQUEDUCT__PIPELINE__0__SOURCE__QUERY__SEED", "12"),
            ("AQUEDUCT__PIPELINE__0__SOURCE__HEADERS__X_API_KEY", "other"),
            ("AQUEDUCT__PIPELINE__0__SOURCE__HEADERS__USER_AGENT", "me"),
            (
                "AQUEDUCT__PIPELINE__0__SOURCE__SHARDS",
                r#"[{ nat = "fr" }, { nat = "de", n = 1 }]"#,
            ),
            ("AQUEDUCT_CONFIG", "one underscore is not ours"),
        ],
    );
    assert_eq!(settings.kafka.brokers, Brokers::Hosts("a:9092,b:9092".to_owned()));
    assert_eq!(
        settings.kafka.properties,
        [("sasl.username".to_owned(), Secret::new("ada"))]
    );
    assert!(!settings.postgres.migrate);
    assert_eq!(settings.supervision.window, Duration::from_secs(3_900));
    let pipeline = &settings.pipelines[0];
    assert_eq!((pipeline.batch.rows, pipeline.batch.bytes), (7, 3 << 19));
    assert_eq!(
        (pipeline.tables[0].mode, pipeline.tables[0].key.len()),
        (Mode::Upsert, 2)
    );
    let http = http(&settings);
    assert!(matches!(
        http.paginate,
        Paginate::Page {
            stop: Stop::Last(9),
            ..
        }
    ));
    assert_eq!(http.query, [("seed".to_owned(), "12".to_owned())]);
    let headers = [("X-Api-Key", "other"), ("user-agent", "me")];
    assert_eq!(
        http.headers,
        headers.map(|(name, value)| (name.to_owned(), Secret::new(value)))
    );
    assert!(matches!(&http.shards, Shards::Declared(sets) if sets.len() == 2 && sets[1]["n"] == 1));
}

#[test]
fn a_variable_that_overrides_nothing_says_what_it_may_have_meant() {
    let cases = [
        (
            "AQUEDUCT__KAFKA__BROKER",
            "x:1",
            "unknown key; did you mean AQUEDUCT__KAFKA__BROKERS?",
        ),
        (
            "AQUEDUCT__KAFK__BROKERS",
            "x:1",
            "unknown key; did you mean AQUEDUCT__KAFKA__BROKERS?",
        ),
        (
            "AQUEDUCT__PIPELINE__0__BATCH__ROW",
            "1",
            "unknown key; did you mean AQUEDUCT__PIPELINE__0__BATCH__ROWS?",
        ),
        (
            "AQUEDUCT__PIPELINE__USERS__BATCH__ROWS",
            "1",
            "there is no [[pipeline]] of that name; write MY_USERS",
        ),
        (
            "AQUEDUCT__PIPELINE__3__BATCH__ROWS",
            "1",
            "there is no [[pipeline]] number 3; they are numbered from 0",
        ),
        (
            "AQUEDUCT__KAFKA",
            "x",
            "names a table; name one of its keys too: brokers or properties",
        ),
        (
            "AQUEDUCT__DAEMON__HTTP__PORT",
            "1",
            "there is nothing below http; leave out __PORT",
        ),
        (
            "AQUEDUCT__PIPELINE__0__BATCH__ROWS",
            "many",
            "expected a whole number of records, without quotes",
        ),
        (
            "AQUEDUCT__SUPERVISION__GRACE",
            "soon",
            "\"soon\" is not a duration; write for example \"30s\", \"200ms\" or \"1h 5m\"",
        ),
    ];
    for (variable, value, expected) in cases {
        assert_eq!(
            problems(BASE, &[(variable, value)]),
            [format!("environment: {variable}: {expected}")]
        );
    }
}

#[test]
fn variables_in_values_are_replaced() {
    let text = format!("[kafka]\nbrokers = \"${{HOST}}:${{PORT}}\"\n[daemon]\nstate_dir = \"${{HOME}}/$$x\"\n{BASE}");
    let settings = settings(&text, &[("HOST", "broker"), ("PORT", "9092")]);
    assert_eq!(settings.kafka.brokers, Brokers::Hosts("broker:9092".to_owned()));
    assert_eq!(settings.daemon.state_dir, Path::new("/home/ada/$x"));
    assert_eq!(
        problems(&text, &[("HOST", "broker")]),
        ["config.toml:2: kafka.brokers: the variable PORT is not set; set it, or write $${PORT} for the text itself"]
    );
}

#[test]
fn a_secret_may_be_in_a_file_or_in_a_credential() {
    let dir = tempfile::tempdir().unwrap();
    let credentials = dir.path().join("credentials");
    fs::create_dir(&credentials).unwrap();
    fs::write(dir.path().join("url"), "postgres://ada:beside@db/x\n").unwrap();
    fs::write(dir.path().join("password"), "of the broker\r\n").unwrap();
    fs::write(credentials.join("token"), "of the API").unwrap();
    let text = format!(
        "[postgres]\nurl_file = \"url\"\n[kafka.properties]\n\"sasl.password_file\" = \"{}\"\n{}",
        dir.path().join("password").display(),
        BASE.replace("X-Api-Key", "X-Api-Key_file")
            .replace("\"plain\"", "\"token\""),
    );
    let file = dir.path().join("config.toml");
    fs::write(&file, text).unwrap();
    let load = |variables: &[(&str, &str)]| {
        let variables = [("HOME", "/home/ada")].iter().chain(variables).copied();
        config::load(&file, &Environment::of(variables))
    };
    let directory = credentials.display().to_string();

    let settings = load(&[("CREDENTIALS_DIRECTORY", &directory)]).unwrap().settings;
    assert_eq!(
        settings.postgres.url,
        PostgresUrl::Url(Secret::new("postgres://ada:beside@db/x"))
    );
    assert_eq!(
        settings.kafka.properties,
        [("sasl.password".to_owned(), Secret::new("of the broker"))]
    );
    assert_eq!(
        http(&settings).headers,
        [("X-Api-Key".to_owned(), Secret::new("of the API"))]
    );

    // A credential goes first; without one the file beside the configuration is it.
    fs::write(credentials.join("url"), "postgres://ada:credential@db/x").unwrap();
    let settings = load(&[("CREDENTIALS_DIRECTORY", &directory)]).unwrap().settings;
    assert_eq!(
        settings.postgres.url,
        PostgresUrl::Url(Secret::new("postgres://ada:credential@db/x"))
    );

    // The variable's word is the last one.
    let variables = [
        ("CREDENTIALS_DIRECTORY", directory.as_str()),
        ("AQUEDUCT__POSTGRES__URL", "embedded"),
    ];
    assert_eq!(load(&variables).unwrap().settings.postgres.url, PostgresUrl::Embedded);

    let problems = load(&[]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .message
            .starts_with("cannot read \"token\": No such file or directory"),
        "{}",
        problems[0]
    );
    fs::write(dir.path().join("token"), "\n").unwrap();
    assert_eq!(
        load(&[]).unwrap_err()[0].message,
        "\"token\" is empty; write the secret into it"
    );
}

#[test]
fn a_secret_is_given_one_way() {
    let text =
        format!("[postgres]\nurl = \"embedded\"\nurl_file = \"x\"\n[kafka.properties]\na = 1\na_file = \"x\"\n{BASE}");
    let problems = problems(&text, &[]);
    assert_eq!(
        problems[0],
        "config.toml:3: postgres.url_file: url is there too; keep one of them"
    );
    assert!(
        problems[1].starts_with("config.toml:6: kafka.properties.a_file: cannot read \"x\""),
        "{problems:#?}"
    );
}

#[test]
fn settings_do_not_print_secrets() {
    let text = format!(
        "[postgres]\nurl = \"postgres://ada:hunter2@db/x\"\n[kafka.properties]\n\"sasl.password\" = \"hunter2\"\n{}",
        BASE.replace("\"plain\"", "\"hunter2\"")
            .replace("https://host/", "https://ada:hunter2@host/path?token=hunter2")
            .replace("records =", "query = { api_key = \"hunter2\" }\nrecords ="),
    );
    let settings = settings(&text, &[]);
    let printed = format!("{settings:?} {settings:#?}");
    assert!(!printed.contains("hunter2"), "{printed}");
    for shown in ["https://host/path", "api_key", "sasl.password", "X-Api-Key", "***"] {
        assert!(printed.contains(shown), "{shown} is not in {printed}");
    }
}

#[test]
fn problems_do_not_print_secrets() {
    // Every text of the file is the secret, in a place where it is wrong.
    let wrong = "${SECRET}";
    let text = format!(
        "[daemon]\nhttp = \"{wrong}\"\nlog_level = \"{wrong}\"\n[kafka]\nbrokers = \"{wrong}\"\n[postgres]\nurl = \"{wrong}\"\n\
         migrations = \"{wrong}\"\n[supervision]\ngrace = \"{wrong}\"\n[[pipeline]]\nname = \"{wrong}\"\nschema = \"\"\n\
         dead_letters.max = \"{wrong}\"\nbatch.bytes = \"{wrong}\"\ntopic.name = \"{wrong}\"\nsource.kind = \"http\"\n\
         source.url = \"{wrong}\"\nsource.records = \"{wrong}\"\nsource.headers = {{ a_file = \"{wrong}\", b = \"{wrong}\\n\" }}\n\
         [[pipeline.table]]\nname = \"{wrong}\"\nmode = \"{wrong}\"\nsql = \" \"\nkey = [\"{wrong}\", \"{wrong}\"]\n"
    );
    let problems = problems(&text, &[("SECRET", "hunter2 is-no/good")]);
    assert!(problems.len() >= 16, "{problems:#?}");
    for problem in &problems {
        assert!(!problem.contains("hunter2"), "{problem}");
    }
    assert!(
        problems
            .iter()
            .any(|problem| problem.contains("\"${SECRET}\" is not a duration"))
    );
}
