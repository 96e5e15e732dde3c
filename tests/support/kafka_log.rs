//! What the tests of the Kafka adapter have in common: specs, pages, and a plain reader that is not the adapter's.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses a part; a helper that fails fails its test"
)]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use aqueduct::{
    config::settings::Secret,
    log::{
        Cancel, IngestEvent, IngestMember, LoadEvent, LoadMember, Log, Ownership, ReadLimit, ReadOutcome, TopicSpec,
        Waker, kafka::KafkaLog,
    },
    model::{CursorRecord, LogRecord, Page, PageRecord, ShardId},
};
use bytes::Bytes;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use slog::{Discard, Drain, Logger, o};
use tokio::time::Instant;

use super::kafka::unique;

/// The limit of every wait; nothing waits that long unless it is broken.
pub const LIMIT: Duration = Duration::from_secs(60);

pub const POLL: Duration = Duration::from_millis(50);

pub fn logger() -> Logger {
    if std::env::var_os("AQUEDUCT_TEST_LOG").is_none() {
        return Logger::root(Discard, o!());
    }
    let decorator = slog_term::PlainSyncDecorator::new(std::io::stderr());
    Logger::root(slog_term::FullFormat::new(decorator).build().fuse(), o!())
}

pub fn kafka_log(address: &str) -> KafkaLog {
    kafka_log_with(address, &[])
}

/// Silent members are noticed after two seconds.
pub fn kafka_log_with(address: &str, properties: &[(&str, &str)]) -> KafkaLog {
    let mut all = vec![("session.timeout.ms", "2000"), ("heartbeat.interval.ms", "300")];
    all.extend(properties);
    let all: Vec<_> = all
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Secret::new(value)))
        .collect();
    KafkaLog::new(address, &all, logger()).unwrap()
}

pub fn shard(number: i32, content: &str) -> ShardId {
    ShardId {
        number,
        content: content.into(),
    }
}

/// A pipeline of its own.
pub fn spec(num_partitions: i32, num_shards: i32) -> TopicSpec {
    let name = unique("p");
    TopicSpec {
        pipeline: name.as_str().into(),
        topic: format!("{name}-records").into(),
        num_partitions,
        replication: 1,
        shards: (0..num_shards)
            .map(|number| shard(number, &format!(r#"{{"stripe":{number}}}"#)))
            .collect(),
    }
}

pub fn prepared(log: &KafkaLog, num_partitions: i32, num_shards: i32) -> TopicSpec {
    let spec = spec(num_partitions, num_shards);
    log.prepare(&spec, &Cancel::new()).unwrap();
    spec
}

pub fn record(payload: impl Into<Bytes>) -> PageRecord {
    PageRecord {
        key: None,
        payload: payload.into(),
        reject: None,
    }
}

pub fn page(shard: &ShardId, number: u64, records: Vec<PageRecord>) -> Page {
    Page {
        shard: shard.clone(),
        cursor_before: number.into(),
        cursor_after: (number + 1).into(),
        records,
    }
}

pub fn cursor(pages: u64) -> CursorRecord {
    CursorRecord {
        cursor: pages.into(),
        fetched: pages,
        produced: pages,
        rejected: 0,
        pages,
    }
}

/// Waits until each transaction on the partition is decided. A commit is answered before its markers are written, so that
/// a reader that comes at once may not see it yet.
fn await_decided(address: &str, topic: &str, partition: i32) {
    let end = |isolation: &str| {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", address)
            .set("isolation.level", isolation)
            .create()
            .unwrap();
        consumer.fetch_watermarks(topic, partition, LIMIT).unwrap().1
    };
    wait_for("all transactions to be decided", || {
        (end("read_committed") == end("read_uncommitted")).then_some(())
    });
}

/// Every record that a `read_committed` reader sees, by partition, with its offset, once no transaction is open.
pub fn visible(address: &str, topic: &str) -> BTreeMap<i32, Vec<(i64, String)>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", "plain-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "10")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), LIMIT).unwrap();
    let partitions: Vec<i32> = metadata.topics()[0]
        .partitions()
        .iter()
        .map(|partition| partition.id())
        .collect();
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        await_decided(address, topic, *partition);
        list.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found: BTreeMap<_, _> = partitions.iter().map(|partition| (*partition, Vec::new())).collect();
    let mut num_ended = 0;
    let deadline = Instant::now() + LIMIT;
    while num_ended < partitions.len() {
        assert!(Instant::now() < deadline, "the end of {topic} was not reached");
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                let text = String::from_utf8_lossy(message.payload().unwrap_or_default()).into_owned();
                found
                    .get_mut(&message.partition())
                    .unwrap()
                    .push((message.offset(), text));
            }
            Some(Err(KafkaError::PartitionEOF(_))) => num_ended += 1,
            Some(Err(problem)) => panic!("{problem}"),
            None => {}
        }
    }
    found
}

/// The payloads of [`visible`], sorted.
pub fn payloads(address: &str, topic: &str) -> Vec<String> {
    let mut all: Vec<_> = visible(address, topic)
        .into_values()
        .flatten()
        .map(|(_, payload)| payload)
        .collect();
    all.sort();
    all
}

pub fn admin(address: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", address).create().unwrap()
}

pub fn admin_options() -> AdminOptions {
    AdminOptions::new()
        .operation_timeout(Some(LIMIT))
        .request_timeout(Some(LIMIT))
}

pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

pub fn no_waker() -> Waker {
    Arc::new(|| {})
}

/// Polls an ingest member for ever on a thread of its own, as its room does.
pub struct PolledIngest {
    pub owned: BTreeMap<i32, Ownership>,
    events: Receiver<IngestEvent>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl PolledIngest {
    pub fn new(mut member: Box<dyn IngestMember>) -> Self {
        let (sender, events) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                for event in member.poll(POLL).unwrap() {
                    let _ = sender.send(event);
                }
            }
        });
        Self {
            owned: BTreeMap::new(),
            events,
            stop,
            thread: Some(thread),
        }
    }

    /// Takes in the news and answers which shards are held.
    pub fn held(&mut self) -> Vec<i32> {
        for event in self.events.try_iter() {
            match event {
                IngestEvent::Assigned(shards) => {
                    self.owned
                        .extend(shards.into_iter().map(|(shard, ownership)| (shard.number, ownership)));
                }
                IngestEvent::Revoked(shards) => {
                    for shard in shards {
                        let ownership = self.owned.remove(&shard.number).unwrap();
                        assert!(!ownership.holds(), "it is cleared before it is told");
                    }
                }
            }
        }
        self.owned
            .iter()
            .filter(|(_, ownership)| ownership.holds())
            .map(|(number, _)| *number)
            .collect()
    }
}

impl Drop for PolledIngest {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Polls until there is an event.
pub fn next_events(member: &mut dyn LoadMember) -> Vec<LoadEvent> {
    wait_for("an event of the load group", || {
        Some(member.poll(POLL).unwrap()).filter(|events| !events.is_empty())
    })
}

/// Polls until these partitions were assigned, in one or more events; others must not come.
pub fn await_assigned(member: &mut dyn LoadMember, expected: &[i32]) {
    let mut all = Vec::new();
    while all.len() < expected.len() {
        for event in next_events(member) {
            match event {
                LoadEvent::Assigned(partitions) => all.extend(partitions),
                LoadEvent::Revoked { .. } => panic!("unexpected {event:?}"),
            }
        }
    }
    all.sort_unstable();
    assert_eq!(all, expected);
}

/// Reads a partition until its end, or until it is out of range.
pub fn read_to_end(member: &mut dyn LoadMember, partition: i32) -> (Vec<LogRecord>, ReadOutcome) {
    let mut records = Vec::new();
    let limit = ReadLimit {
        records: 100,
        bytes: 1 << 20,
    };
    let outcome = wait_for("the end of the partition", || {
        assert_eq!(member.poll(Duration::ZERO).unwrap(), []);
        match member.read(partition, limit, &mut records).unwrap() {
            ReadOutcome::More | ReadOutcome::Empty => None,
            outcome => Some(outcome),
        }
    });
    (records, outcome)
}

/// Waits until the shard's last transaction can be read: opening a shard does that.
pub fn await_markers(log: &KafkaLog, spec: &TopicSpec) {
    drop(
        log.open_shard(spec, &spec.shards[0], &Ownership::granted(), &Cancel::new())
            .unwrap(),
    );
}

/// Opens shard 0 as its owner and commits one page for each list of payloads; readers see them all afterwards.
pub fn fill(log: &KafkaLog, spec: &TopicSpec, pages: &[&[&str]]) {
    let (own, cancel) = (Ownership::granted(), Cancel::new());
    let mut writer = log.open_shard(spec, &spec.shards[0], &own, &cancel).unwrap();
    let first = writer.committed().map_or(0, |cursor| cursor.pages);
    for (number, payloads) in (first..).zip(pages) {
        let records = payloads.iter().map(|payload| record((*payload).to_owned())).collect();
        writer
            .commit(
                &[page(&spec.shards[0], number, records)],
                &cursor(number + 1),
                &own,
                &cancel,
            )
            .unwrap();
    }
    drop(writer);
    await_markers(log, spec);
}
