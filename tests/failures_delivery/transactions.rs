//! Transactions that are left open, that take too long, that fail, or whose client is pushed out.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use aqueduct::{
    demo::simulator::{Options, Simulator, expected_uuids},
    log::{Cancel, Log, LogError, Ownership, kafka::KafkaLog, kafka::Step},
    model::{Page, Verdict},
};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, Producer},
};

use crate::{
    job::{Brokers, Job, LIMIT, PipelineText, ledger_counts},
    kafka::{TestKafka, unique},
    postgres::{self, TestDatabase},
    support::{cursor, kafka_log, kafka_log_with, page, payloads, prepared, record, wait_for},
};

const RESULTS: u64 = 50;

/// A main job with lines of `[kafka.properties]`.
struct Scene {
    name: String,
    table: String,
    pages: u64,
    job: Job,
    _simulator: Simulator,
}

impl Scene {
    fn new(prefix: &str, pages: u64, delay: Duration, properties: &str) -> Self {
        let simulator = Simulator::start(Options {
            delay,
            ..Options::default()
        })
        .unwrap();
        let name = unique(prefix);
        let mut pipeline = PipelineText::users(&name, &simulator.url(), RESULTS, pages);
        pipeline.rows = RESULTS;
        let table = pipeline.table.clone();
        let brokers = Brokers::Kafka(TestKafka::shared().address().to_owned());
        let job = Job::new(TestDatabase::empty(), &brokers, &[pipeline]);
        let path = job.dir.path().join("config.toml");
        let text = fs::read_to_string(&path).unwrap();
        let heartbeat = "\"heartbeat.interval.ms\" = 500\n";
        assert!(text.contains(heartbeat));
        fs::write(&path, text.replace(heartbeat, &format!("{heartbeat}{properties}"))).unwrap();
        Self {
            name,
            table,
            pages,
            job,
            _simulator: simulator,
        }
    }

    fn num_records(&self) -> u64 {
        RESULTS * self.pages
    }

    /// Each id is in the topic once, as `read_committed` readers see it, and once in the table; the ledger says the same.
    fn verify(&self, ledger: &str) {
        let mut expected: Vec<String> = expected_uuids(&self.name, 1..=self.pages, RESULTS)
            .iter()
            .map(ToString::to_string)
            .collect();
        expected.sort();
        let found = self.job.texts(&format!("SELECT uuid FROM {}", self.table));
        assert!(found == expected, "{} rows: {ledger}", found.len());
        let mut in_topic: Vec<String> = payloads(TestKafka::shared().address(), &self.name)
            .iter()
            // Markers that aqueduct writes over again have no payload.
            .filter(|payload| !payload.is_empty())
            .map(|payload| {
                let record: serde_json::Value = serde_json::from_str(payload).unwrap();
                record["login"]["uuid"].as_str().unwrap().to_owned()
            })
            .collect();
        in_topic.sort();
        assert!(
            in_topic == expected,
            "{} records in the topic: {ledger}",
            in_topic.len()
        );
        assert_eq!(self.job.count("SELECT count(*) FROM aqueduct.dead_letters"), 0);
        let records = self.num_records();
        assert_eq!(
            ledger_counts(ledger),
            [records, records, records, records, 0, 0, 0, 0],
            "{ledger}"
        );
        assert!(ledger.contains("the ledger adds up"), "{ledger}");
    }
}

/// How many offsets of the topic are not decided: they hold back every `read_committed` reader.
fn num_undecided(topic: &str) -> i64 {
    let end = |isolation: &str, partition| {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", TestKafka::shared().address())
            .set("isolation.level", isolation)
            .create()
            .unwrap();
        consumer.fetch_watermarks(topic, partition, LIMIT).unwrap().1
    };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", TestKafka::shared().address())
        .create()
        .unwrap();
    let num_partitions = consumer.fetch_metadata(Some(topic), LIMIT).unwrap().topics()[0]
        .partitions()
        .len();
    (0..i32::try_from(num_partitions).unwrap())
        .map(|partition| end("read_uncommitted", partition) - end("read_committed", partition))
        .sum()
}

#[test]
fn what_a_dead_daemon_left_open_blocks_readers_no_longer_than_its_time_out_and_is_fetched_again() {
    let scene = Scene::new("open", 6, Duration::ZERO, "\"transaction.timeout.ms\" = 4000\n");
    // Records lie there, their cursor does not.
    let variables = [("AQUEDUCT_FAILPOINT", "ingest-after-records:3:200")];
    let mut daemon = scene.job.start_with("config.toml", &["run"], "dying.log", &variables);
    assert!(!daemon.wait("the daemon dies in the middle of a page").success());
    assert!(num_undecided(&scene.name) > 0, "{}", daemon.tail());
    // Nobody of ours is there: the broker alone ends it, and readers go on.
    wait_for("the transaction to be aborted", || {
        (num_undecided(&scene.name) == 0).then_some(())
    });
    let ledger = scene.job.run_once();
    scene.verify(&ledger);
}

#[test]
fn pages_slower_than_the_transactions_time_out_are_no_matter() {
    // The page is in memory before its transaction begins.
    let scene = Scene::new(
        "slow-page",
        4,
        Duration::from_secs(3),
        "\"transaction.timeout.ms\" = 1000\n",
    );
    let ledger = scene.job.run_once();
    scene.verify(&ledger);
    let log = fs::read_to_string(scene.job.dir.path().join("once.log")).unwrap();
    assert!(!log.contains("fenced") && !log.contains("aborted"), "{log}");
}

#[test]
fn a_producer_that_somebody_else_has_fenced_is_made_anew_and_each_record_is_in_the_topic_once() {
    let scene = Scene::new("fenced", 60, Duration::from_millis(60), "");
    let mut daemon = scene.job.start("config.toml", &["run"], "daemon.log");
    let settled = || {
        let sql = "SELECT sum(consumed) FROM aqueduct.offsets";
        scene.job.try_count(sql).unwrap_or(0).cast_unsigned()
    };
    for round in 1..=2 {
        postgres::wait_for("it works", LIMIT, || settled() >= round * scene.num_records() / 4);
        // Whoever it is that takes the id: each shard's producer finds itself fenced in whatever it was doing.
        for shard in 0..2 {
            let zombie: BaseProducer = ClientConfig::new()
                .set("bootstrap.servers", TestKafka::shared().address())
                .set("transactional.id", format!("{}-{shard}", scene.name))
                .create()
                .unwrap();
            zombie.init_transactions(LIMIT).unwrap();
        }
    }
    postgres::wait_for("all records are settled", LIMIT, || {
        assert!(daemon.is_running(), "{}", daemon.tail());
        settled() >= scene.num_records()
    });
    assert!(daemon.log().contains("the shard was fenced"), "{}", daemon.tail());
    let status = scene.job.status("config.toml").unwrap();
    for branch in status["pipelines"][0]["branches"].as_array().unwrap() {
        for actor in branch["children"].as_array().unwrap() {
            assert_eq!(actor["life"], 1, "a fence spent a restart: {actor:#}");
        }
    }
    assert_eq!(daemon.terminate().code(), Some(0), "{}", daemon.tail());
    let ledger = scene.job.run_once();
    scene.verify(&ledger);
}

fn one_page(spec: &aqueduct::log::TopicSpec) -> [Page; 1] {
    let records = ["a", "b", "c"].map(record).into();
    [page(&spec.shards[0], 0, records)]
}

#[test]
fn a_transaction_that_outlived_its_time_out_is_decided_by_the_cursor_and_its_page_goes_again() {
    let address = TestKafka::shared().address();
    let log = kafka_log_with(address, &[("transaction.timeout.ms", "1000")]);
    let spec = prepared(&log, 1, 1);
    let topic = spec.topic.to_string();
    let is_first = AtomicBool::new(true);
    let log = log.with_failpoint(Arc::new(move |step| {
        if step == Step::Sent && is_first.swap(false, Ordering::SeqCst) {
            assert!(num_undecided(&topic) > 0);
            wait_for("the coordinator to abort it", || {
                (num_undecided(&topic) == 0).then_some(())
            });
        }
        false
    }));
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let mut writer = log.open_shard(&spec, &spec.shards[0], &own, &cancel).unwrap();
    let pages = one_page(&spec);
    let error = writer.commit(&pages, &cursor(1), &own, &cancel).unwrap_err();
    assert!(matches!(error, LogError::Lost { .. }), "{error:?}");
    // That client is done for good; another one reads that the page is not in.
    assert!(writer.commit(&pages, &cursor(1), &own, &cancel).is_err());
    drop(writer);
    let mut writer = log.open_shard(&spec, &spec.shards[0], &own, &cancel).unwrap();
    assert_eq!(writer.committed(), None);
    writer.commit(&pages, &cursor(1), &own, &cancel).unwrap();
    assert_eq!(payloads(address, &spec.topic), ["a", "b", "c"]);
}

#[test]
fn records_that_time_out_in_the_middle_of_a_page_abort_it_and_the_page_goes_again() {
    let broker = Arc::new(TestKafka::private());
    let address = broker.address().to_owned();
    let spec = prepared(&kafka_log(&address), 1, 1);
    let messages = Arc::new(Mutex::new(Vec::new()));
    let properties = [("message.timeout.ms", "1500"), ("transaction.timeout.ms", "60000")]
        .map(|(key, value)| (key.to_owned(), aqueduct::config::settings::Secret::new(value)));
    let log = KafkaLog::new(&address, &properties, recording(&messages)).unwrap();
    let thawing = Arc::new(Mutex::new(None));
    let (frozen, thread) = (Arc::clone(&broker), Arc::clone(&thawing));
    let is_first = AtomicBool::new(true);
    let log = log.with_failpoint(Arc::new(move |step| {
        if step == Step::Begun && is_first.swap(false, Ordering::SeqCst) {
            frozen.freeze();
            let frozen = Arc::clone(&frozen);
            *thread.lock().unwrap() = Some(thread::spawn(move || {
                thread::park_timeout(Duration::from_secs(4));
                frozen.thaw();
            }));
        }
        false
    }));
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let mut writer = log.open_shard(&spec, &spec.shards[0], &own, &cancel).unwrap();
    // With the same client, unless the broker is so slow when it is back that records time out twice in a row. It refuses the
    // second abort then (INVALID_TXN_STATE), and a new client goes on, as the Producer has it.
    while let Err(problem) = writer.commit(&one_page(&spec), &cursor(1), &own, &cancel) {
        assert_eq!(problem.verdict(), Verdict::Lost, "{:?}", messages.lock().unwrap());
        writer = log.open_shard(&spec, &spec.shards[0], &own, &cancel).unwrap();
        if writer.committed().is_some() {
            break;
        }
    }
    assert_eq!(writer.committed(), Some(&cursor(1)));
    let messages = messages.lock().unwrap().clone();
    assert!(
        messages
            .iter()
            .any(|it| it == "transaction aborted; the same pages go again"),
        "{messages:?}"
    );
    thawing.lock().unwrap().take().unwrap().join().unwrap();
    drop(writer);
    assert_eq!(payloads(&address, &spec.topic), ["a", "b", "c"]);
}

/// A logger that keeps the messages.
fn recording(messages: &Arc<Mutex<Vec<String>>>) -> slog::Logger {
    struct Recorder(Arc<Mutex<Vec<String>>>);

    impl slog::Drain for Recorder {
        type Ok = ();
        type Err = slog::Never;

        fn log(&self, record: &slog::Record<'_>, _: &slog::OwnedKVList) -> Result<(), slog::Never> {
            self.0.lock().unwrap().push(record.msg().to_string());
            Ok(())
        }
    }
    slog::Logger::root(Recorder(Arc::clone(messages)), slog::o!())
}
