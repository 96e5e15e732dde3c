//! What the load group's rebalances mean, as its callback knows it.
//!
//! An assignment is answered at once and with nothing, so that the group never waits for claims; the partitions are added
//! one by one when they are claimed. A revocation is answered only when its partitions are settled and released: the next
//! owner waits for that.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use slog::{debug, error, info};

use super::{
    client::{Clients, Context, lock},
    error, ingest_member,
    limits::Limits,
    members,
};
use crate::log::{LoadEvent, LogError, TopicSpec, Waker};

/// What a member may hold of records that nobody has read yet, over all its partitions, in kB.
const QUEUED_KBYTES: i32 = 8_192;

/// A record counts with its payload only, but takes at least half a kB there.
const RECORDS_PER_KBYTE: i32 = 2;

/// A member's client.
pub(super) type Reader = BaseConsumer<Context<Partitions>>;

/// Makes the client and asks to join the group, which bears the pipeline's name.
pub(super) fn join(clients: &Clients, limits: &Limits, spec: &TopicSpec, waker: Waker) -> Result<Reader, LogError> {
    let (session, heartbeat) = ingest_member::timing(clients);
    let (session_ms, heartbeat_ms) = (session.to_string(), heartbeat.to_string());
    // It counts a partition, when each has its own queue. The member may come to own all of them.
    let num_partitions = limits.num_partitions(&spec.topic).unwrap_or(spec.num_partitions).max(1);
    let queued_kbytes = (QUEUED_KBYTES / num_partitions).clamp(1_024, 8_192);
    let queued_records = (queued_kbytes * RECORDS_PER_KBYTE).to_string();
    let queued_kbytes = queued_kbytes.to_string();
    let client_id = members::client_id();
    let defaults = [
        ("client.id", client_id.as_str()),
        ("session.timeout.ms", session_ms.as_str()),
        ("heartbeat.interval.ms", heartbeat_ms.as_str()),
        ("queued.max.messages.kbytes", queued_kbytes.as_str()),
        // Above either of the two nothing more is fetched.
        ("queued.min.messages", queued_records.as_str()),
        // With a small queue the default of a second stalls the fetcher.
        ("fetch.queue.backoff.ms", "20"),
        // The end of a partition is reported only when the broker has waited this long for more.
        ("fetch.wait.max.ms", "50"),
    ];
    let fixed = [
        ("group.id", &*spec.pipeline),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
    ];
    let mut consumer: Reader = clients
        .config(&defaults, &fixed)
        .create_with_context(clients.context(Partitions::new(&spec.topic)))
        .map_err(|problem| clients.open_error(&problem))?;
    consumer.set_nonempty_callback(move || waker());
    consumer
        .subscribe(&[&spec.topic])
        .map_err(|problem| error::call("join group", &*spec.pipeline, problem))?;
    Ok(consumer)
}

/// A member's partitions.
pub(super) struct Partitions {
    topic: String,
    pub(super) state: Mutex<State>,
    /// Set before the consumer is dropped: nobody releases anything any more, and the drop waits for the answers.
    pub(super) is_closing: AtomicBool,
    num_failed_commits: AtomicU64,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) events: VecDeque<LoadEvent>,
    /// Ours according to the group, assigned or not.
    pub(super) granted: BTreeSet<i32>,
    /// Revoked, and not answered yet.
    pub(super) revoking: BTreeSet<i32>,
    pub(super) problem: Option<KafkaError>,
}

impl Partitions {
    pub(super) fn new(topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            state: Mutex::default(),
            is_closing: AtomicBool::new(false),
            num_failed_commits: AtomicU64::new(0),
        }
    }

    /// A list of partitions of the topic.
    pub(super) fn list(&self, partitions: impl IntoIterator<Item = i32>) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, partition);
        }
        list
    }

    pub(super) fn commit_failed(&self) -> u64 {
        self.num_failed_commits.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl Context<Partitions> {
    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: Vec<i32>) -> KafkaResult<()> {
        consumer.incremental_assign(&TopicPartitionList::new())?;
        if !partitions.is_empty() {
            let mut state = lock(&self.side.state);
            state.granted.extend(&partitions);
            state.events.push_back(LoadEvent::Assigned(partitions));
        }
        Ok(())
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, partitions: Vec<i32>, lost: bool) -> KafkaResult<()> {
        if self.side.is_closing.load(Ordering::SeqCst) {
            // Only what was assigned can be taken away: the others were granted and never claimed.
            return consumer.incremental_unassign(&consumer.assignment()?);
        }
        if partitions.is_empty() {
            return consumer.incremental_unassign(&TopicPartitionList::new());
        }
        let mut state = lock(&self.side.state);
        for partition in &partitions {
            state.granted.remove(partition);
        }
        state.revoking.extend(&partitions);
        state.events.push_back(LoadEvent::Revoked { partitions, lost });
        Ok(())
    }
}

impl ConsumerContext for Context<Partitions> {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        let answer = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            info!(self.log_to(), "partitions assigned"; "partitions" => ?partitions);
            self.assigned(consumer, partitions)
        } else {
            let lost = consumer.assignment_lost();
            info!(self.log_to(), "partitions revoked"; "partitions" => ?partitions, "lost" => lost);
            self.revoked(consumer, partitions, lost)
        };
        if let Err(problem) = answer {
            error!(self.log_to(), "a rebalance could not be answered"; "cause" => %problem);
            lock(&self.side.state).problem = Some(problem);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(problem) = result {
            let total = self.side.commit_failed();
            debug!(self.log_to(), "offsets for lag tools were not committed"; "cause" => %problem, "total" => total);
        }
    }
}
