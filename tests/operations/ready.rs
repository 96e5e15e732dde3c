//! `/readyz` and `status` in outages, with a parked branch, and afterwards.

use std::os::unix::net::UnixDatagram;

use aqueduct::demo::simulator::{Options, Simulator};

use crate::{
    door::{IMPATIENT, edit_config, get, until_not_ready, until_ready},
    job::{Brokers, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, TestPostgres, wait_for},
    proxy::Proxy,
};

/// The directory of the server's socket in a URL like `postgres:///db?host=%2Ftmp%2Fx&…`.
fn socket(url: &str) -> std::path::PathBuf {
    let host = url.split("host=").nth(1).unwrap().split('&').next().unwrap();
    let dir = host.replace("%2F", "/").replace("%2f", "/");
    std::path::Path::new(&dir).join(".s.PGSQL.5432")
}

/// What `status` says of a dependency.
fn dependency(job: &Job, name: &str) -> serde_json::Value {
    let status = job.status("config.toml").unwrap();
    let all = status["pipelines"][0]["dependencies"].as_array().unwrap().clone();
    all.into_iter().find(|dependency| dependency["name"] == name).unwrap()
}

#[test]
fn readyz_is_false_while_postgresql_kafka_or_the_api_is_away_and_true_again_after() {
    let kafka = TestKafka::private();
    let server = TestPostgres::private();
    let simulator = Simulator::start(Options::default()).unwrap();
    let database = server.database();
    let url = database.url().expose().to_owned();
    let proxy = Proxy::to_unix(socket(&url));
    let name = unique("ready");
    let pipeline = PipelineText::users(&name, &simulator.url(), 50, 2);
    let job = Job::new(database, &Brokers::Kafka(kafka.address().to_owned()), &[pipeline]);
    let through_proxy = format!(
        "url = \"postgres://postgres@127.0.0.1:{}/{}\"",
        proxy.port(),
        job.database.name
    );
    edit_config(
        &job,
        &[
            IMPATIENT,
            (&format!("url = {url:?}"), &through_proxy),
            ("key = \"$.login.uuid\"", "key = \"$.login.uuid\"\nevery = \"1s\""),
        ],
    );
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    until_ready(&job, &mut daemon);
    assert_eq!(get(&job, "/healthz").unwrap().status, 200);

    // Dropped, not refused: the connections stay, and nothing comes.
    proxy.hold(true);
    let problem = until_not_ready(&job, &mut daemon, "postgres");
    assert!(
        problem["remedy"].as_str().unwrap().contains("postgres.url"),
        "{problem:#}"
    );
    assert_eq!(get(&job, "/healthz").unwrap().status, 200, "the process itself is well");
    let away = dependency(&job, "postgres");
    assert_eq!(away["up"], false);
    assert!(away["next"].as_str().unwrap().contains("nothing is lost"), "{away:#}");
    proxy.hold(false);
    until_ready(&job, &mut daemon);
    assert_eq!(dependency(&job, "postgres")["up"], true);

    // Frozen: connections stay open, and nothing is answered.
    kafka.freeze();
    let problem = until_not_ready(&job, &mut daemon, "kafka");
    assert_eq!(problem["place"], kafka.address());
    let text = job.command("config.toml", &["status"]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains(&format!("NOT READY: kafka {} since 20", kafka.address())),
        "{text}"
    );
    let since = dependency(&job, "kafka")["since"].clone();
    assert_eq!(since, problem["since"], "the outage keeps its beginning");
    kafka.thaw();
    until_ready(&job, &mut daemon);

    simulator.set_outage(true);
    let problem = until_not_ready(&job, &mut daemon, "api");
    assert!(problem["reason"].as_str().unwrap().contains("503"), "{problem:#}");
    simulator.set_outage(false);
    until_ready(&job, &mut daemon);

    let status = job.status("config.toml").unwrap();
    for branch in status["pipelines"][0]["branches"].as_array().unwrap() {
        for actor in branch["children"].as_array().unwrap() {
            assert_eq!(actor["life"], 1, "an outage spent a restart: {actor:#}");
        }
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

#[test]
fn a_pipeline_that_the_brake_has_parked_is_not_ready_until_it_is_resumed() {
    let simulator = Simulator::start(Options::default()).unwrap();
    let name = unique("parked").to_lowercase();
    let mut pipeline = PipelineText::users(&name, &simulator.url(), 300, 2);
    // Every batch is above the half of it: two writers together would pass it.
    pipeline.extra = "dead_letters.max = \"100 in 1h\"".into();
    let table = pipeline.table.clone();
    let database = TestDatabase::empty();
    database.execute(&format!(
        "CREATE TABLE {table} (uuid text, age int, born_at timestamptz, email text CONSTRAINT never CHECK (false), nat text)"
    ));
    let job = Job::new(database, &Brokers::Embedded, &[pipeline]);
    edit_config(
        &job,
        &[
            IMPATIENT,
            ("rows = 700", "rows = 60"),
            ("backoff = \"100ms\"", "backoff = \"100ms\"\nbackoff_max = \"1h\""),
        ],
    );
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    // A branch that has not come up yet is a problem as well, for a moment.
    let mut problem = serde_json::Value::Null;
    wait_for("the branch is parked", LIMIT, || {
        problem = until_not_ready(&job, &mut daemon, "branch");
        problem["reason"].as_str().unwrap().starts_with("it is parked")
    });
    assert_eq!(problem["place"], format!("{name}/load"));
    let reason = problem["reason"].as_str().unwrap();
    assert!(reason.contains("more than 100 dead letters"), "{reason}");
    assert!(reason.contains("23514"), "the first reasons are there: {reason}");
    assert!(
        problem["remedy"]
            .as_str()
            .unwrap()
            .contains(&format!("aqueduct resume {name}")),
        "{problem:#}"
    );
    let dead = job.count("SELECT count(*) FROM aqueduct.dead_letters");
    assert!(dead <= 100, "{dead} dead letters by two writers, where 100 are allowed");
    assert_eq!(dead, job.count("SELECT coalesce(sum(dead), 0) FROM aqueduct.offsets"));

    job.database
        .execute(&format!("ALTER TABLE {table} DROP CONSTRAINT never"));
    let resumed = job.command("config.toml", &["resume", &name]).output().unwrap();
    assert!(resumed.status.success(), "{resumed:?}");
    until_ready(&job, &mut daemon);
    wait_for("the rest is loaded", LIMIT, || {
        job.count(&format!("SELECT count(*) FROM {table}")) == 600 - dead
    });
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}

#[test]
fn a_daemon_that_waits_for_postgresql_at_its_very_start_says_so_at_its_door_and_to_systemd() {
    let mut server = TestPostgres::private();
    let simulator = Simulator::start(Options::default()).unwrap();
    let pipeline = PipelineText::users(&unique("start"), &simulator.url(), 50, 2);
    let job = Job::new(server.database(), &Brokers::Embedded, &[pipeline]);
    edit_config(&job, &[IMPATIENT]);
    let manager = UnixDatagram::bind(job.dir.path().join("notify")).unwrap();
    manager.set_nonblocking(true).unwrap();
    let mut said = String::new();
    let mut says = |what: &str| {
        let mut buffer = [0; 4096];
        while let Ok(size) = manager.recv(&mut buffer) {
            said += &String::from_utf8_lossy(&buffer[..size]);
            said.push('\n');
        }
        said.contains(what)
    };

    server.stop();
    let socket = job.dir.path().join("notify");
    let variables = [
        ("NOTIFY_SOCKET", socket.to_str().unwrap()),
        // A watchdog that would bark, were it not fed while the daemon waits.
        ("WATCHDOG_USEC", "1000000"),
    ];
    let mut daemon = job.start_with("config.toml", &["run"], "daemon.log", &variables);
    let problem = until_not_ready(&job, &mut daemon, "postgres");
    assert!(
        problem["remedy"].as_str().unwrap().contains("postgres.url"),
        "{problem:#}"
    );
    assert_eq!(get(&job, "/healthz").unwrap().status, 200);
    let metrics = get(&job, "/metrics").unwrap().body;
    assert!(
        metrics
            .lines()
            .any(|line| line.starts_with("aqueduct_ready{") && line.ends_with(" 0")),
        "{metrics}"
    );
    let status = job.command("config.toml", &["status"]).output().unwrap();
    let sentence = String::from_utf8(status.stderr).unwrap();
    assert_eq!(status.status.code(), Some(69));
    assert!(
        sentence.contains("starting since") && sentence.contains("waits for postgres"),
        "{sentence}"
    );
    wait_for("systemd hears that it is up and what it waits for", LIMIT, || {
        says("READY=1") && says("STATUS=waiting for PostgreSQL at") && says("WATCHDOG=1")
    });

    server.start();
    until_ready(&job, &mut daemon);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    assert!(says("STOPPING=1"));
}
