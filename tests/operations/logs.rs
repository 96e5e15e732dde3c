//! What the daemon says: each line whole, with its context, and never a secret or a payload.

use std::{fs, sync::Arc, time::Duration};

use aqueduct::demo::simulator::{Options, Simulator};
use serde_json::Value;

use crate::{
    door::{IMPATIENT, edit_config, get, until_ready},
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
};

/// In every place where a secret may stand; and one in the records.
const SECRETS: [&str; 6] = [
    "geheim-url-0",
    "geheim-query-1",
    "geheim-header-2",
    "geheim-env-3",
    "geheim-postgres-4",
    "geheim-kafka-5",
];
const PAYLOAD: &str = "streng-vertraulich@example.com";

#[test]
fn every_json_line_parses_and_carries_its_context() {
    let kafka = TestKafka::shared().address();
    let simulator = Simulator::start(Options {
        fail_every: Some(3),
        ..Options::default()
    })
    .unwrap();
    let name = unique("lines").to_lowercase();
    let pipeline = PipelineText::users(&name, &simulator.url(), 100, 4);
    let table = pipeline.table.clone();
    let job = Job::new(TestDatabase::empty(), &Brokers::Kafka(kafka.to_owned()), &[pipeline]);
    edit_config(&job, &[IMPATIENT, ("log_format", "log_level = \"debug\"\nlog_format")]);
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    wait_for("all rows", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        job.try_count(&format!("SELECT count(*) FROM {table}")) == Some(400)
    });
    until_ready(&job, &mut daemon);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    let log = daemon.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for key in ["ts", "level", "msg"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
        // One life is one number, and belongs to an actor of a branch of a pipeline.
        if !line["life"].is_null() {
            assert!(line["life"].is_u64() && line["actor"].is_string(), "{line}");
            assert_eq!(line["pipeline"], name.as_str(), "{line}");
            assert!(line["branch"].as_str().unwrap().starts_with(&name), "{line}");
        }
        assert_eq!(line["actor"].is_null(), line["life"].is_null(), "{line}");
    }
    let said_by = |actor: &str, message: &str| {
        lines
            .iter()
            .any(|line| line["actor"] == actor && line["msg"].as_str().unwrap().contains(message))
    };
    assert!(said_by("consumer-0", "claimed"), "{log}");
    for actor in ["fetcher-0", "producer-0", "consumer-0", "transformer-0", "writer-0"] {
        assert!(said_by(actor, "up"), "{actor}: {log}");
    }
    // What the adapters say for an actor carries its pipeline; what the source says carries its actor, too.
    assert!(said_by("fetcher-0", "waiting for the API"), "{log}");
    let kafkas: Vec<_> = lines.iter().filter(|line| line["log"] == "kafka").collect();
    assert!(!kafkas.is_empty(), "{log}");
    assert!(
        kafkas.iter().all(|line| line["pipeline"] == name.as_str()),
        "{kafkas:#?}"
    );
}

#[test]
fn no_secret_and_no_payload_is_ever_printed() {
    let simulator = Simulator::start(Options {
        corrupt: Some(Arc::new(|_, index, record: &str| match index {
            3 => Some(record.replacen("\"email\":\"", &format!("\"email\":\"nobody {PAYLOAD}"), 1)),
            4 => Some(record.replacen("\"age\":", &format!("\"age\":\"{PAYLOAD}\",\"was\":"), 1)),
            5 => Some(format!("[\"{PAYLOAD}\"]")),
            _ => None,
        })),
        ..Options::default()
    })
    .unwrap();
    let name = unique("secret").to_lowercase();
    let pipeline = PipelineText::users(&name, &simulator.url(), 20, 2);
    let table = pipeline.table.clone();
    let database = TestDatabase::empty();
    database.execute(&format!(
        "CREATE TABLE {table} (uuid text, age int, born_at timestamptz, \
         email text CONSTRAINT known CHECK (email NOT LIKE 'nobody%'), nat text)"
    ));
    let job = Job::new(database, &Brokers::Embedded, &[pipeline]);
    let [url, query, header, env, postgres, kafka] = SECRETS;
    let with_user = simulator.url().replacen("://", &format!("://me:{url}@"), 1);
    let separator = if job.database.url().expose().contains('?') {
        '&'
    } else {
        '?'
    };
    let with_password = format!("{}{separator}password={postgres}", job.database.url().expose());
    edit_config(
        &job,
        &[
            IMPATIENT,
            ("log_format", "log_level = \"trace\"\nlog_format"),
            (&simulator.url(), &with_user),
            (job.database.url().expose(), &with_password),
            (
                "[pipeline.source.query]",
                &format!(
                    "[pipeline.source.headers]\nAuthorization = \"Bearer {header}\"\nX-Api-Key = \"${{GEHEIM}}\"\n\
                     [pipeline.source.query]\napi_key = \"{query}\""
                ),
            ),
            (
                "[postgres]",
                &format!("[kafka.properties]\n\"sasl.password\" = \"{kafka}\"\n[postgres]"),
            ),
        ],
    );
    let path = |name: &str| job.dir.path().join(name);
    let mut said = String::new();
    let run = |args: &[&str], said: &mut String| {
        let output = job.command("config.toml", args).env("GEHEIM", env).output().unwrap();
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        output.status.code()
    };
    // Well, then with the API, PostgreSQL and Kafka away.
    assert_eq!(run(&["run", "--once"], &mut said), Some(0), "{said}");
    assert_eq!(job.count("SELECT count(*) FROM aqueduct.dead_letters"), 6, "{said}");
    assert!(said.contains("\"msg\":\"claimed\""), "it does log: {said}");
    run(&["check", "--live"], &mut said);
    // Whoever lists dead letters asks for their reasons, and these quote the value that was refused.
    let mut listed = String::new();
    run(&["dead-letters", "list"], &mut listed);
    run(&["dead-letters", "replay", "--all"], &mut listed);
    assert!(listed.contains(PAYLOAD), "{listed}");

    let away = fs::read_to_string(path("config.toml")).unwrap();
    let away = away.replace("brokers = \"embedded\"", "brokers = \"127.0.0.1:9\"");
    let away = away.replace(&with_password, &format!("postgres://me:{postgres}@127.0.0.1:9/none"));
    let away = away.replace(&with_user, &format!("http://me:{url}@127.0.0.1:9/api/"));
    fs::write(path("config.toml"), away.replace("migrate = true", "")).unwrap();
    edit_config(&job, &[("[supervision]", "migrate = false\n[supervision]")]);
    run(&["check", "--live"], &mut said);
    run(&["dead-letters", "list"], &mut said);
    let log = fs::File::create(path("away.log")).unwrap();
    let mut daemon = job
        .command("config.toml", &["run"])
        .env("GEHEIM", env)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    let mut door = String::new();
    wait_for("everything is known to be away", LIMIT, || {
        for page in ["/readyz", "/metrics"] {
            door.extend(get(&job, page).map(|answer| answer.body));
        }
        let log = fs::read_to_string(path("away.log")).unwrap();
        ["kafka", "postgres"].iter().all(|name| door.contains(name)) && log.matches("does not answer").count() >= 2
    });
    run(&["status", "--json"], &mut said);
    run(&["status"], &mut said);
    std::thread::park_timeout(Duration::from_millis(500));
    let _ = daemon.kill();
    let _ = daemon.wait();
    said.push_str(&door);
    said.push_str(&fs::read_to_string(path("away.log")).unwrap());
    // A config that is wrong in every place that has a secret.
    let wrong = fs::read_to_string(path("config.toml")).unwrap();
    let wrong = wrong
        .replace("postgres://me", "postgrs://me")
        .replace("http://me", "htp://me");
    fs::write(path("config.toml"), wrong.replace("sasl.password", "sasl.passwort")).unwrap();
    assert_eq!(run(&["check"], &mut said), Some(64), "{said}");
    for secret in &SECRETS {
        assert!(!listed.contains(secret), "{secret} was printed: {listed}");
    }
    for secret in SECRETS.iter().chain([&PAYLOAD]) {
        let line = said.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} was printed: {line:?}");
    }
}

#[test]
fn lines_for_a_journal_that_is_not_there_are_not_lost() {
    let pipeline = PipelineText::users("journal", "http://127.0.0.1:9/", 1, 1);
    let job = Job::new(TestDatabase::empty(), &Brokers::Embedded, &[pipeline]);
    edit_config(&job, &[("log_format = \"json\"", "log_format = \"journald\"")]);
    let output = job.command("config.toml", &["check"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let has_journal = std::path::Path::new("/run/systemd/journal/socket").exists();
    assert_eq!(
        said.contains("there is no journal on this machine"),
        !has_journal,
        "{said}"
    );
}
