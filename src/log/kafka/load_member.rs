//! A member of the group that shares out the topic's partitions.
//!
//! Each partition has a queue of its own; back-pressure is a queue that is not read. The main queue is always polled and
//! never holds a record, because a partition's queue is split off before the partition is assigned.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer, base_consumer::PartitionQueue},
    error::KafkaError,
    types::RDKafkaErrorCode as Code,
};
use slog::debug;
use tokio::time::Instant;

use super::{
    client::{Clients, Context, lock},
    close::close,
    error,
    limits::Limits,
    load_group::{self, Partitions, Reader},
    record::{Chunks, copied, is_marker},
};
use crate::{
    failpoint,
    log::{LoadEvent, LoadMember, LogError, ReadLimit, ReadOutcome, TopicSpec, Waker},
    model::{LogRecord, Verdict},
};

/// How many events one `poll` serves besides the one that it waited for.
const MOST_EVENTS: usize = 64;

/// How often offsets are committed for lag tools.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);

/// See [`LoadMember`].
pub(super) struct KafkaLoadMember {
    clients: Clients,
    group: String,
    topic: String,
    waker: Waker,
    // Each queue holds the consumer: they go first.
    queues: HashMap<i32, PartitionQueue<Context<Partitions>>>,
    /// In librdkafka's assignment. May lie behind `queues` while a revocation is under way.
    assigned: BTreeSet<i32>,
    /// To be assigned again as soon as the revocation under way is answered.
    postponed: Vec<(i32, i64)>,
    settled: HashMap<i32, i64>,
    last_commit: Instant,
    chunks: Chunks,
    /// `None` only while it is dropped.
    consumer: Option<Arc<Reader>>,
}

impl KafkaLoadMember {
    pub(super) fn join(clients: &Clients, limits: &Limits, spec: &TopicSpec, waker: Waker) -> Result<Self, LogError> {
        let consumer = load_group::join(clients, limits, spec, Arc::clone(&waker))?;
        Ok(Self {
            clients: clients.clone(),
            group: spec.pipeline.to_string(),
            topic: spec.topic.to_string(),
            waker,
            queues: HashMap::new(),
            assigned: BTreeSet::new(),
            postponed: Vec::new(),
            settled: HashMap::new(),
            last_commit: Instant::now(),
            chunks: Chunks::default(),
            consumer: Some(Arc::new(consumer)),
        })
    }

    fn consumer(&self) -> Result<Arc<Reader>, LogError> {
        self.consumer.clone().ok_or_else(|| LogError::Lost {
            place: self.group.clone(),
        })
    }

    /// Whether an error on the main queue, or on a partition's, is only to be waited out.
    fn checked(&self, operation: &'static str, problem: KafkaError) -> Result<(), LogError> {
        let is_fatal = matches!(problem, KafkaError::MessageConsumptionFatal(_));
        let waits = error::code(&problem).is_none_or(|code| {
            // A topic that is gone is found out by its id; one that is new is not known to every broker yet.
            code == Code::UnknownTopicOrPartition || error::verdict(code) != Verdict::Fail
        });
        if waits && !is_fatal {
            Ok(())
        } else {
            Err(error::call(operation, &self.group, problem))
        }
    }

    /// Handles what is in the main queue: rebalances (their callback runs within) and errors.
    fn serve(&self, wait: Duration) -> Result<(), LogError> {
        let consumer = self.consumer()?;
        // The first waits, the others take what is there.
        let mut limit = wait;
        for _ in 0..MOST_EVENTS {
            match consumer.poll(limit) {
                Some(Err(problem)) => self.checked("poll", problem)?,
                Some(Ok(record)) => {
                    let reason = format!("offset {} came outside of its partition's queue", record.offset());
                    return Err(error::reported(
                        "poll",
                        self.place(record.partition()),
                        Code::Inconsistent,
                        reason,
                    ));
                }
                None if limit.is_zero() => break,
                None => {}
            }
            limit = Duration::ZERO;
        }
        Ok(())
    }

    fn start(&mut self, claims: &[(i32, i64)]) -> Result<(), LogError> {
        if claims.is_empty() {
            return Ok(());
        }
        let consumer = self.consumer()?;
        let mut list = TopicPartitionList::new();
        for &(partition, offset) in claims {
            list.add_partition_offset(&self.topic, partition, Offset::Offset(offset))
                .map_err(|problem| error::call("assign", self.place(partition), problem))?;
            // An older handle would take the callback along when it goes.
            self.queues.remove(&partition);
            let mut queue = consumer.split_partition_queue(&self.topic, partition).ok_or_else(|| {
                error::reported(
                    "assign",
                    self.place(partition),
                    Code::UnknownPartition,
                    "it has no queue",
                )
            })?;
            let waker = Arc::clone(&self.waker);
            queue.set_nonempty_callback(move || waker());
            self.queues.insert(partition, queue);
        }
        let started = consumer.incremental_assign(&list).and_then(|()| {
            // A partition that was lost while it was paused comes back paused.
            consumer.resume(&list)
        });
        if let Err(problem) = started {
            claims
                .iter()
                .for_each(|(partition, _)| drop(self.queues.remove(partition)));
            return Err(error::call("assign", &self.group, problem));
        }
        self.assigned.extend(claims.iter().map(|(partition, _)| *partition));
        debug!(self.clients.log(), "reading"; "group" => &self.group, "claims" => ?claims);
        Ok(())
    }

    fn unassign(&mut self, partitions: &[i32]) -> Result<(), LogError> {
        let consumer = self.consumer()?;
        let list = consumer.context().side.list(partitions.iter().copied());
        for partition in partitions {
            self.assigned.remove(partition);
        }
        consumer
            .incremental_unassign(&list)
            .map_err(|problem| error::call("release", &self.group, problem))
    }

    fn place(&self, partition: i32) -> String {
        format!("{}[{partition}]", self.topic)
    }

    fn commit_settled(&mut self) {
        self.last_commit = Instant::now();
        let mut list = TopicPartitionList::new();
        for (partition, offset) in self.settled.drain() {
            // Only what is still ours: the group refuses the others.
            if self.assigned.contains(&partition) {
                let _ = list.add_partition_offset(&self.topic, partition, Offset::Offset(offset));
            }
        }
        let Some(consumer) = &self.consumer else { return };
        if list.count() == 0 {
            return;
        }
        failpoint::reach("load-before-kafka-commit");
        if let Err(problem) = consumer.commit(&list, CommitMode::Async) {
            let total = consumer.context().side.commit_failed();
            debug!(self.clients.log(), "offsets for lag tools were not committed"; "cause" => %problem, "total" => total);
        }
        failpoint::reach("load-after-kafka-commit");
    }
}

impl LoadMember for KafkaLoadMember {
    fn poll(&mut self, wait: Duration) -> Result<Vec<LoadEvent>, LogError> {
        if self.last_commit.elapsed() >= COMMIT_INTERVAL {
            self.commit_settled();
        }
        self.serve(wait)?;
        let consumer = self.consumer()?;
        let mut state = lock(&consumer.context().side.state);
        match state.problem.take() {
            Some(problem) => Err(error::call("answer rebalance", &self.group, problem)),
            None => Ok(state.events.drain(..).collect()),
        }
    }

    fn assign(&mut self, claims: &[(i32, i64)]) -> Result<(), LogError> {
        let consumer = self.consumer()?;
        if claims.iter().any(|(partition, _)| self.assigned.contains(partition)) {
            // A revocation that still lies in the queue would be answered by taking them away below. Its event waits for the
            // next poll.
            self.serve(Duration::ZERO)?;
        }
        let (granted, is_revoking) = {
            let state = lock(&consumer.context().side.state);
            (state.granted.clone(), !state.revoking.is_empty())
        };
        // Revoked while it was claimed: the next owner has claimed it again, or will.
        let claims: Vec<_> = claims
            .iter()
            .copied()
            .filter(|(partition, _)| granted.contains(partition))
            .collect();
        let again: Vec<i32> = claims
            .iter()
            .map(|claim| claim.0)
            .filter(|it| self.assigned.contains(it))
            .collect();
        if again.is_empty() {
            return self.start(&claims);
        }
        again.iter().for_each(|partition| drop(self.queues.remove(partition)));
        if is_revoking {
            // Taking them away now would answer the revocation of others.
            self.postponed.extend(&claims);
            return Ok(());
        }
        self.unassign(&again)?;
        self.start(&claims)
    }

    fn release(&mut self, partitions: &[i32]) -> Result<(), LogError> {
        for partition in partitions {
            self.queues.remove(partition);
        }
        self.postponed.retain(|(partition, _)| !partitions.contains(partition));
        if partitions.iter().any(|partition| self.settled.contains_key(partition)) {
            self.commit_settled();
        }
        let consumer = self.consumer()?;
        let (was_revoking, is_answer_due) = {
            let mut state = lock(&consumer.context().side.state);
            let was_revoking = !state.revoking.is_empty();
            state.revoking.retain(|partition| !partitions.contains(partition));
            (was_revoking, was_revoking && state.revoking.is_empty())
        };
        if was_revoking && !is_answer_due {
            return Ok(());
        }
        // Whatever is assigned without a queue was released, now or while a revocation was under way.
        let gone: Vec<i32> = self
            .assigned
            .iter()
            .copied()
            .filter(|it| !self.queues.contains_key(it))
            .collect();
        if is_answer_due || !gone.is_empty() {
            self.unassign(&gone)?;
        }
        let postponed = std::mem::take(&mut self.postponed);
        self.start(&postponed)
    }

    fn read(&mut self, partition: i32, limit: ReadLimit, into: &mut Vec<LogRecord>) -> Result<ReadOutcome, LogError> {
        let Some(queue) = self.queues.get(&partition) else {
            return Ok(ReadOutcome::Empty);
        };
        let (mut num_records, mut num_bytes, mut is_end) = (0, 0, false);
        while num_records < limit.records && num_bytes < limit.bytes {
            match queue.poll(Duration::ZERO) {
                Some(Ok(message)) if is_marker(&message) => is_end = false,
                Some(Ok(message)) => {
                    let record = copied(&message, &mut self.chunks);
                    num_records += 1;
                    num_bytes += record.value.as_ref().map_or(0, bytes::Bytes::len);
                    into.push(record);
                    is_end = false;
                }
                // Not the end if more lies behind it already; the queue must be empty, or its callback will not come.
                Some(Err(KafkaError::PartitionEOF(_))) => is_end = true,
                // The last one: the brokers say that there is no such partition. The topic may be gone, or a broker that
                // has just started does not know it yet; the next claim finds out which.
                Some(Err(KafkaError::MessageConsumption(
                    Code::AutoOffsetReset | Code::OffsetOutOfRange | Code::LogTruncation | Code::UnknownPartition,
                ))) => return Ok(ReadOutcome::OutOfRange),
                // What waits was logged by the client's context.
                Some(Err(problem)) => self.checked("read", problem)?,
                None if is_end => return Ok(ReadOutcome::End),
                None => return Ok(ReadOutcome::Empty),
            }
        }
        Ok(ReadOutcome::More)
    }

    fn position(&mut self, partition: i32) -> Option<i64> {
        let positions = self.consumer().ok()?.position().ok()?;
        // Invalid until a record or a transaction marker has passed: then it stands where it was assigned.
        match positions.find_partition(&self.topic, partition)?.offset() {
            Offset::Offset(position) => Some(position),
            _ => None,
        }
    }

    fn note_settled(&mut self, partition: i32, next_offset: i64) {
        self.settled.insert(partition, next_offset);
    }
}

impl Drop for KafkaLoadMember {
    fn drop(&mut self) {
        self.commit_settled();
        self.queues.clear();
        let Some(consumer) = self.consumer.take() else { return };
        let side = &consumer.context().side;
        side.is_closing.store(true, Ordering::SeqCst);
        if !lock(&side.state).revoking.is_empty() {
            // The caller is gone in the middle of a revocation, for whose answer the close would wait for ever.
            let _ = consumer.incremental_unassign(&side.list(self.assigned.iter().copied()));
        }
        close(self.clients.log(), &self.group, consumer);
    }
}
