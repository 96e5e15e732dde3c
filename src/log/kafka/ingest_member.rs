//! A member of the group that shares out the shards: shard `n` is partition `n` of `<pipeline>.cursors`.
//!
//! Nothing is ever read by it. Every rebalance is answered within the callback, and a shard's [`Ownership`] is cleared
//! *before* the answer: only after it may the shard reach another member.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::{RDKafkaErrorCode as Code, RDKafkaRespErr},
};
use slog::{error, info};

use super::{
    client::{Clients, Context, lock},
    close::close,
    error, members,
};
use crate::{
    log::{IngestEvent, IngestMember, LogError, Ownership, TopicSpec, Waker},
    model::{ShardId, Verdict},
};

/// How long a member may be silent before its shards go to another one.
const SESSION_TIMEOUT_MS: u64 = 10_000;

/// How many events one `poll` serves besides the one that it waited for.
const MOST_EVENTS: usize = 64;

/// A group member's `session.timeout.ms` and `heartbeat.interval.ms`: the user's, or ours. Three heartbeats a session.
pub(super) fn timing(clients: &Clients) -> (u64, u64) {
    let user = |key| clients.user(key).and_then(|value| value.parse::<u64>().ok());
    let session = user("session.timeout.ms").unwrap_or(SESSION_TIMEOUT_MS);
    let heartbeat = user("heartbeat.interval.ms").unwrap_or((session / 3).clamp(1, 3_000));
    (session, heartbeat)
}

/// See [`IngestMember`].
pub(super) struct KafkaIngestMember {
    clients: Clients,
    group: String,
    heartbeat: Duration,
    /// `None` only while it is dropped.
    consumer: Option<BaseConsumer<Context<Shards>>>,
}

/// The shards that are ours, as the callbacks know it.
pub(super) struct Shards {
    by_number: HashMap<i32, ShardId>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    owned: HashMap<i32, Ownership>,
    events: Vec<IngestEvent>,
    problem: Option<KafkaError>,
}

impl KafkaIngestMember {
    pub(super) fn join(clients: &Clients, spec: &TopicSpec, waker: Waker) -> Result<Self, LogError> {
        let group = format!("{}.ingest", spec.pipeline);
        let (session, heartbeat) = timing(clients);
        let (session_ms, heartbeat_ms) = (session.to_string(), heartbeat.to_string());
        let client_id = members::client_id();
        let defaults = [
            ("client.id", client_id.as_str()),
            ("session.timeout.ms", session_ms.as_str()),
            ("heartbeat.interval.ms", heartbeat_ms.as_str()),
        ];
        let fixed = [
            ("group.id", group.as_str()),
            ("partition.assignment.strategy", "cooperative-sticky"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            // It reads nothing; an offset that retention has passed must not be an error.
            ("auto.offset.reset", "latest"),
        ];
        let by_number = spec.shards.iter().map(|shard| (shard.number, shard.clone())).collect();
        let context = clients.context(Shards {
            by_number,
            state: Mutex::default(),
        });
        let mut consumer: BaseConsumer<Context<Shards>> = clients
            .config(&defaults, &fixed)
            .create_with_context(context)
            .map_err(|problem| clients.open_error(&problem))?;
        consumer.set_nonempty_callback(move || waker());
        consumer
            .subscribe(&[&spec.cursors_topic()])
            .map_err(|problem| error::call("join group", &group, problem))?;
        let heartbeat = Duration::from_millis(heartbeat);
        Ok(Self {
            clients: clients.clone(),
            group,
            heartbeat,
            consumer: Some(consumer),
        })
    }

    fn failed(&self, problem: KafkaError) -> Result<(), LogError> {
        let is_fatal = matches!(problem, KafkaError::MessageConsumptionFatal(_));
        let waits = error::code(&problem).is_none_or(|code| {
            // Said while a new topic is not known to every broker yet.
            code == Code::UnknownTopicOrPartition || error::verdict(code) != Verdict::Fail
        });
        if waits && !is_fatal {
            return Ok(());
        }
        // No revocation follows a fatal error.
        if let Some(consumer) = &self.consumer {
            consumer.context().side.clear(None);
        }
        Err(error::call("poll", &self.group, problem))
    }
}

impl IngestMember for KafkaIngestMember {
    fn poll(&mut self, wait: Duration) -> Result<Vec<IngestEvent>, LogError> {
        let Some(consumer) = &self.consumer else {
            return Ok(Vec::new());
        };
        // The first waits, the others take what is there.
        let mut limit = wait;
        for _ in 0..MOST_EVENTS {
            match consumer.poll(limit) {
                Some(Err(problem)) => self.failed(problem)?,
                // A message of a partition that was not paused yet.
                Some(Ok(_)) => {}
                None if limit.is_zero() => break,
                None => {}
            }
            limit = Duration::ZERO;
        }
        let mut state = lock(&consumer.context().side.state);
        state.owned.values().for_each(Ownership::polled);
        match state.problem.take() {
            Some(problem) => Err(error::call("answer rebalance", &self.group, problem)),
            None => Ok(std::mem::take(&mut state.events)),
        }
    }

    fn heartbeat(&self) -> Duration {
        self.heartbeat
    }
}

impl Drop for KafkaIngestMember {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            // First: leaving takes a round trip, and nobody listens for the revocation any more.
            consumer.context().side.clear(None);
            close(self.clients.log(), &self.group, consumer);
        }
    }
}

impl Shards {
    /// Clears the ownership of these partitions, or of all, and tells it.
    fn clear(&self, partitions: Option<&[i32]>) {
        let mut state = lock(&self.state);
        let numbers = partitions.map_or_else(|| state.owned.keys().copied().collect(), <[i32]>::to_vec);
        let mut revoked = Vec::new();
        for number in numbers {
            if let Some(ownership) = state.owned.remove(&number) {
                ownership.clear();
                revoked.extend(self.by_number.get(&number).cloned());
            }
        }
        if !revoked.is_empty() {
            state.events.push(IngestEvent::Revoked(revoked));
        }
    }

    fn grant(&self, partitions: &[i32]) {
        let mut state = lock(&self.state);
        let mut assigned = Vec::new();
        // Partitions beyond the shards belong to shards that were declared once; nobody fetches them now.
        for shard in partitions.iter().filter_map(|number| self.by_number.get(number)) {
            let ownership = Ownership::granted();
            state.owned.insert(shard.number, ownership.clone());
            assigned.push((shard.clone(), ownership));
        }
        if !assigned.is_empty() {
            state.events.push(IngestEvent::Assigned(assigned));
        }
    }
}

impl Context<Shards> {
    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> KafkaResult<()> {
        // An absolute position needs no look-up of committed offsets, of which there are none.
        list.set_all_offsets(Offset::End)?;
        consumer.incremental_assign(list)?;
        consumer.pause(list)
    }
}

impl ConsumerContext for Context<Shards> {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let partitions: Vec<i32> = list.elements().iter().map(|element| element.partition()).collect();
        let answer = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            info!(self.log_to(), "shards assigned"; "shards" => ?partitions);
            // Also when the list is empty: every generation wants its answer.
            self.assigned(consumer, list).inspect(|()| self.side.grant(&partitions))
        } else {
            info!(self.log_to(), "shards revoked"; "shards" => ?partitions, "lost" => consumer.assignment_lost());
            self.side.clear(Some(&partitions));
            consumer.incremental_unassign(list)
        };
        if let Err(problem) = answer {
            error!(self.log_to(), "a rebalance could not be answered"; "cause" => %problem);
            self.side.clear(None);
            lock(&self.side.state).problem = Some(problem);
        }
    }
}
