//! Packets that are dropped, not refused.

use std::{fs, time::Duration};

use aqueduct::demo::simulator::{Options, Simulator};
use tokio::time::Instant;

use crate::{
    door::{IMPATIENT, edit_config, until_not_ready, until_ready},
    job::{Brokers, Daemon, Job, LIMIT, PipelineText},
    kafka::{TestKafka, unique},
    postgres::{TestDatabase, wait_for},
    proxy::{Proxy, Upstream, Weather, drops},
};

const PROBE_EVERY: Duration = Duration::from_secs(2);
/// A busy machine's part of a time limit.
const SLACK: Duration = Duration::from_secs(10);
/// What may lie in the daemon when the network fails: rows beyond these have come over new connections.
const IN_HAND: i64 = 5_000;

/// A daemon that moves records without end, with a proxy before everything that it needs.
struct Wired {
    job: Job,
    table: String,
    simulator: Simulator,
    daemon: Daemon,
    kafka: Proxy,
    postgres: Proxy,
    api: Proxy,
    _broker: TestKafka,
}

impl Wired {
    fn new() -> Self {
        let kafka = Proxy::start(Upstream::Tcp(String::new()));
        let advertised = format!("advertised.listeners=PLAINTEXT://{}", kafka.address());
        let broker = TestKafka::private_with(&[&advertised]);
        kafka.lead_to(Upstream::Tcp(broker.address().to_owned()));
        let simulator = Simulator::start(Options {
            delay: Duration::from_millis(100),
            remember: true,
            ..Options::default()
        })
        .unwrap();
        let api = Proxy::start(Upstream::Tcp(simulator.addr.to_string()));
        let name = unique("wired");
        let pipeline = PipelineText::users(&name, &format!("http://{}/api/", api.address()), 50, 1_000_000);
        let table = pipeline.table.clone();
        let brokers = Brokers::Kafka(kafka.address().to_string());
        let job = Job::new(TestDatabase::empty(), &brokers, &[pipeline]);
        let (postgres, url) = Proxy::before_postgres(job.database.url().expose());
        let direct = format!("url = {:?}", job.database.url().expose());
        edit_config(
            &job,
            &[
                (&direct, &format!("url = {url:?}")),
                ("log_format", "probe_every = \"2s\"\nlog_format"),
                ("shards = 2", "shards = 2\ntimeout = \"10s\""),
            ],
        );
        let daemon = job.start("config.toml", &["run"], "daemon.log");
        Self {
            job,
            table,
            simulator,
            daemon,
            kafka,
            postgres,
            api,
            _broker: broker,
        }
    }

    fn rows(&self) -> i64 {
        let rows = self.job.try_count(&format!("SELECT count(*) FROM {}", self.table));
        rows.unwrap_or(0)
    }

    /// Waits for rows that have come over connections of now.
    fn until_it_goes_on(&mut self, limit: Duration) {
        let begin = self.rows();
        let deadline = Instant::now() + limit;
        wait_for("it goes on", 2 * limit, || {
            let arrived = self.rows() - begin;
            let is_in_time = self.daemon.is_running() && Instant::now() < deadline;
            assert!(
                is_in_time,
                "{arrived} rows of {IN_HAND} in {limit:?}: {}",
                self.daemon.tail()
            );
            arrived >= IN_HAND
        });
    }

    fn assert_first_lives(&self) {
        let status = self.job.status("config.toml").unwrap();
        for branch in status["pipelines"][0]["branches"].as_array().unwrap() {
            for actor in branch["children"].as_array().unwrap() {
                assert_eq!(actor["life"], 1, "it has spent a restart: {actor:#}");
            }
        }
    }
}

#[test]
fn what_is_dropped_turns_readyz_false_and_a_connection_that_is_cut_off_in_silence_is_found_within_a_minute() {
    let mut wired = Wired::new();
    until_ready(&wired.job, &mut wired.daemon);
    wired.until_it_goes_on(LIMIT);

    for what in ["postgres", "kafka", "api"] {
        let proxy = match what {
            "postgres" => &wired.postgres,
            "kafka" => &wired.kafka,
            _ => &wired.api,
        };
        proxy.set(Weather::Dropped);
        let dropped = Instant::now();
        let problem = until_not_ready(&wired.job, &mut wired.daemon, what);
        let seen_after = dropped.elapsed();
        assert!(
            seen_after < 2 * PROBE_EVERY + SLACK,
            "{what}: only after {seen_after:?}: {problem:#}"
        );
        proxy.set(Weather::Clear);
        until_ready(&wired.job, &mut wired.daemon);
    }
    wired.until_it_goes_on(LIMIT);

    // All packets of the present connections are lost for good, and no end of a connection is told. New ones are fine.
    let asked = wired.simulator.num_requests();
    if drops::are_real() {
        // Elsewhere its bytes would only be held back, and acknowledged: no server of that kind is lost, only slow.
        wired.postgres.forsake("aqueduct");
    }
    wired.kafka.forsake("aqueduct");
    wired.api.forsake("GET ");
    wired.until_it_goes_on(Duration::from_secs(60) + SLACK);
    assert!(wired.simulator.num_requests() > asked + 20);
    until_ready(&wired.job, &mut wired.daemon);
    wired.assert_first_lives();

    // Nothing was lost or doubled by all this.
    assert_eq!(wired.daemon.terminate().code(), Some(0), "{}", wired.daemon.tail());
    edit_config(&wired.job, &[("last = 1000000", "last = 1")]);
    let ledger = wired.job.run_once();
    assert!(ledger.contains("the ledger adds up"), "{ledger}");
    let table = &wired.table;
    let rows = wired.job.texts(&format!("SELECT uuid FROM {table}"));
    let served: std::collections::BTreeSet<String> =
        wired.simulator.served_uuids().iter().map(ToString::to_string).collect();
    assert!(rows.windows(2).all(|pair| pair[0] != pair[1]), "a row came twice");
    assert!(rows.iter().all(|uuid| served.contains(uuid)));
    assert_eq!(
        rows.len() as i64,
        wired.job.count("SELECT sum(consumed) FROM aqueduct.offsets"),
        "{ledger}"
    );
    assert_eq!(wired.job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
}

/// The processor time that the daemon has had so far.
fn cpu_time(daemon: &Daemon) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    // A tick is 10 ms for every program on Linux, whatever the kernel's own is.
    Duration::from_millis(10 * ticks)
}

#[test]
fn a_daemon_whose_brokers_have_all_gone_rests_until_they_are_back() {
    let mut broker = TestKafka::private();
    let simulator = Simulator::start(Options::default()).unwrap();
    let pipeline = PipelineText::users(&unique("rest"), &format!("http://{}/api/", simulator.addr), 50, 10);
    let table = pipeline.table.clone();
    let job = Job::new(
        TestDatabase::empty(),
        &Brokers::Kafka(broker.address().to_owned()),
        &[pipeline],
    );
    edit_config(&job, &[IMPATIENT]);
    let mut daemon = job.start("config.toml", &["run"], "daemon.log");
    until_ready(&job, &mut daemon);
    wait_for("all rows", LIMIT, || {
        job.try_count(&format!("SELECT count(*) FROM {table}"))
            .is_some_and(|rows| rows == 500)
    });

    broker.kill9();
    until_not_ready(&job, &mut daemon, "kafka");
    let before = cpu_time(&daemon);
    std::thread::park_timeout(Duration::from_secs(10));
    // It asks every half second. A client that connects as fast as it is refused takes the whole ten seconds by itself.
    let spent = cpu_time(&daemon) - before;
    assert!(spent < Duration::from_secs(4), "{spent:?}: {}", daemon.tail());

    broker.start_again();
    until_ready(&job, &mut daemon);
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
}
