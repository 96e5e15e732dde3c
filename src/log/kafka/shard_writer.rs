//! The only writer of one shard: records and the cursor after them go into one Kafka transaction.
//!
//! Invariant: `commit` answers `Ok` only after the broker has committed, and answers `Err` only when the transaction is
//! aborted, or when this writer is spent and opening the shard again decides.

use std::{collections::HashSet, time::Duration};

use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer},
    types::RDKafkaErrorCode as Code,
};
use slog::{Logger, info, o, warn};

use super::{
    Failpoint, Step,
    client::Clients,
    close::close,
    delivery::{Failure, Progress},
    error,
    limits::Limits,
    transaction::{Class, ShardProducer, TRY, class, settle},
    wait::{self, Backoff},
};
use crate::{
    log::{Cancel, LogError, Ownership, ShardWriter, TopicSpec},
    model::{CursorRecord, IngestReject, Page, PageRecord, ShardId, Verdict},
};

const OPERATION: &str = "commit transaction";

/// How long a full send queue, or reports, are waited for before cancel and ownership are looked at again.
const GLANCE: Duration = Duration::from_millis(50);

/// How often an abort is tried when the caller wants to be gone: well below a second.
const HASTY_TRIES: usize = 3;

/// Room beside the payload: for a key, a reject envelope's headers, and the record's own numbers.
const KEY_AND_HEADERS_BYTES: usize = 1_024;

/// Where a shard's records and cursors go.
pub(super) struct Place {
    /// The `transactional.id`: `<pipeline>-<shard>`.
    pub(super) id: String,
    topic: String,
    cursors: String,
    shard: ShardId,
}

impl Place {
    pub(super) fn new(spec: &TopicSpec, shard: &ShardId) -> Self {
        let id = format!("{}-{}", spec.pipeline, shard.number);
        Self {
            id,
            topic: spec.topic.to_string(),
            cursors: spec.cursors_topic(),
            shard: shard.clone(),
        }
    }
}

/// The cluster that the shard was opened in, and what the topic took then.
pub(super) struct Cluster {
    pub(super) clients: Clients,
    pub(super) limits: Limits,
    pub(super) max_message_bytes: usize,
}

/// See [`ShardWriter`].
pub(super) struct KafkaShardWriter {
    log: Logger,
    cluster: Cluster,
    /// `None` once the client is spent: fenced, stopped dead, or left with a call under way.
    producer: Option<ShardProducer>,
    place: Place,
    committed: Option<CursorRecord>,
    failpoint: Option<Failpoint>,
}

/// Why a transaction cannot be committed as it is.
enum Obstacle {
    /// The client is of no use any more, and with it goes the transaction: nothing can be aborted.
    Spent(LogError),
    /// Abort, and send the same pages again.
    Again(String),
    /// Abort, and give up with this error.
    GiveUp(LogError),
    /// Abort, and name this record.
    TooLarge(Failure),
    /// Abort, and find out what the topic takes now: a broker refused a batch that was within the limit.
    BatchTooLarge,
}

impl KafkaShardWriter {
    pub(super) fn new(
        cluster: Cluster,
        producer: ShardProducer,
        place: Place,
        committed: Option<CursorRecord>,
        failpoint: Option<Failpoint>,
    ) -> Self {
        let log = cluster.clients.log().new(o!("transactional_id" => place.id.clone()));
        Self {
            log,
            cluster,
            producer: Some(producer),
            place,
            committed,
            failpoint,
        }
    }

    fn lost(&self) -> LogError {
        LogError::Lost {
            place: self.place.id.clone(),
        }
    }

    fn cancelled(&self) -> LogError {
        LogError::Cancelled {
            operation: OPERATION,
            place: self.place.id.clone(),
        }
    }

    /// What every wait looks at. `None` = go on.
    fn stopped(&self, own: &Ownership, cancel: &Cancel) -> Option<LogError> {
        if !own.holds() {
            Some(self.lost())
        } else if cancel.is_cancelled() {
            Some(self.cancelled())
        } else {
            None
        }
    }

    fn stops_dead_at(&self, step: Step) -> Result<(), Obstacle> {
        match &self.failpoint {
            Some(failpoint) if failpoint(step) => Err(Obstacle::Spent(self.lost())),
            _ => Ok(()),
        }
    }

    fn attempt(
        &self,
        producer: &ShardProducer,
        pages: &[Page],
        cursor: &[u8],
        own: &Ownership,
        cancel: &Cancel,
    ) -> Result<(), Obstacle> {
        producer
            .begin_transaction()
            .map_err(|problem| self.obstacle("begin transaction", problem))?;
        producer.context().side.begin();
        self.stops_dead_at(Step::Begun)?;
        let mut number = 0;
        for record in pages.iter().flat_map(|page| &page.records) {
            self.send(producer, number, |tag| self.record(record, tag), own, cancel)?;
            number += 1;
        }
        self.send(producer, number, |tag| self.cursor(cursor, tag), own, cancel)?;
        self.await_reports(producer, own, cancel)?;
        self.stops_dead_at(Step::Sent)?;
        // Last look before the point of no return.
        match self.stopped(own, cancel) {
            Some(reason) => Err(Obstacle::GiveUp(reason)),
            None => self.finish(producer, own, cancel),
        }
    }

    fn record<'a>(&'a self, record: &'a PageRecord, tag: usize) -> BaseRecord<'a, [u8], [u8], usize> {
        let mut message = BaseRecord::with_opaque_to(&self.place.topic, tag).payload(&record.payload[..]);
        if let Some(key) = &record.key {
            message = message.key(&key[..]);
        }
        if let Some(reject) = &record.reject {
            let headers = OwnedHeaders::new_with_capacity(2)
                .insert(Header {
                    key: IngestReject::REASON_HEADER,
                    value: Some(&reject.reason),
                })
                .insert(Header {
                    key: IngestReject::SIZE_HEADER,
                    value: Some(&reject.size_bytes.to_string()),
                });
            message = message.headers(headers);
        }
        message
    }

    fn cursor<'a>(&'a self, value: &'a [u8], tag: usize) -> BaseRecord<'a, [u8], [u8], usize> {
        BaseRecord::with_opaque_to(&self.place.cursors, tag)
            .partition(self.place.shard.number)
            .key(self.place.shard.content.as_bytes())
            .payload(value)
    }

    fn send<'a>(
        &self,
        producer: &ShardProducer,
        number: usize,
        make: impl FnOnce(usize) -> BaseRecord<'a, [u8], [u8], usize>,
        own: &Ownership,
        cancel: &Cancel,
    ) -> Result<(), Obstacle> {
        let tally = &producer.context().side;
        let mut message = make(tally.tag(number));
        // Counted before it is sent: its report may be here before `send` returns.
        tally.sent();
        loop {
            let Err((problem, unsent)) = producer.send(message) else {
                return Ok(());
            };
            match error::code(&problem) {
                Some(Code::QueueFull) => {
                    if let Some(reason) = self.stopped(own, cancel) {
                        return Err(Obstacle::GiveUp(reason));
                    }
                    // The producer's own thread empties it as reports come in.
                    match tally.wait(GLANCE) {
                        Progress::Failed(failure) => return Err(self.undelivered(failure)),
                        Progress::Pending | Progress::Acknowledged => message = unsent,
                    }
                }
                Some(code @ Code::MessageSizeTooLarge) => {
                    return Err(Obstacle::TooLarge(Failure { record: number, code }));
                }
                Some(code) => return Err(self.undelivered(Failure { record: number, code })),
                None => {
                    return Err(Obstacle::GiveUp(error::call(
                        "append record",
                        &self.place.topic,
                        problem,
                    )));
                }
            }
        }
    }

    fn await_reports(&self, producer: &ShardProducer, own: &Ownership, cancel: &Cancel) -> Result<(), Obstacle> {
        loop {
            match producer.context().side.wait(GLANCE) {
                Progress::Acknowledged => {
                    settle(producer);
                    return Ok(());
                }
                Progress::Failed(failure) => return Err(self.undelivered(failure)),
                Progress::Pending => {
                    if producer.client().fatal_error().is_some() {
                        return Err(Obstacle::Spent(self.lost()));
                    }
                    if let Some(reason) = self.stopped(own, cancel) {
                        return Err(Obstacle::GiveUp(reason));
                    }
                }
            }
        }
    }

    /// A record that did not go in.
    fn undelivered(&self, failure: Failure) -> Obstacle {
        match failure.code {
            // Inside a transaction that has failed already: the abort says why.
            Code::State => Obstacle::Again("the transaction has failed".to_owned()),
            Code::MessageSizeTooLarge => Obstacle::BatchTooLarge,
            code => match error::verdict(code) {
                Verdict::Lost => Obstacle::Spent(self.lost()),
                Verdict::Retry => Obstacle::Again(code.to_string()),
                Verdict::Reject | Verdict::Fail => {
                    let reason = format!("record {} was refused", failure.record);
                    Obstacle::GiveUp(error::reported("append record", &self.place.topic, code, reason))
                }
            },
        }
    }

    fn obstacle(&self, operation: &'static str, problem: rdkafka::error::KafkaError) -> Obstacle {
        match class(&problem) {
            Class::Abort => Obstacle::Again(problem.to_string()),
            Class::SameCall | Class::Fatal => {
                info!(self.log, "the shard's producer is done"; "operation" => operation, "cause" => %problem);
                Obstacle::Spent(self.lost())
            }
            Class::Broken => Obstacle::Spent(error::call(operation, &self.place.id, problem)),
        }
    }

    fn finish(&self, producer: &ShardProducer, own: &Ownership, cancel: &Cancel) -> Result<(), Obstacle> {
        loop {
            let Err(problem) = producer.commit_transaction(TRY) else {
                break;
            };
            match class(&problem) {
                Class::SameCall => {
                    // Whether it goes in is open now, so that nothing can be aborted either.
                    if let Some(reason) = self.stopped(own, cancel) {
                        return Err(Obstacle::Spent(reason));
                    }
                    wait::pause(cancel, TRY / 10);
                }
                _ => return Err(self.obstacle(OPERATION, problem)),
            }
        }
        self.stops_dead_at(Step::Committed)
    }

    /// Aborts; `Err` when the client is spent instead.
    fn abort(&self, producer: &ShardProducer, own: &Ownership, cancel: &Cancel) -> Result<(), LogError> {
        let mut num_hasty = 0;
        loop {
            let Err(problem) = producer.abort_transaction(TRY) else {
                return Ok(());
            };
            match class(&problem) {
                Class::SameCall | Class::Abort => {
                    if let Some(reason) = self.stopped(own, cancel) {
                        num_hasty += 1;
                        if num_hasty >= HASTY_TRIES {
                            return Err(reason);
                        }
                    }
                    wait::pause(cancel, TRY / 10);
                }
                Class::Fatal => return Err(self.lost()),
                Class::Broken => return Err(error::call("abort transaction", &self.place.id, problem)),
            }
        }
    }

    /// The record to blame: the largest of the refused ones, as brokers refuse whole batches.
    fn too_large(&self, pages: &[Page], refused: &[Failure]) -> LogError {
        let numbers: HashSet<usize> = refused
            .iter()
            .filter(|it| it.code == Code::MessageSizeTooLarge)
            .map(|it| it.record)
            .collect();
        let records = pages.iter().enumerate().flat_map(|(page, it)| {
            it.records
                .iter()
                .enumerate()
                .map(move |(record, it)| (page, record, it.payload.len()))
        });
        let candidates = records
            .enumerate()
            .filter(|(number, _)| numbers.contains(number))
            .map(|(_, it)| it);
        match candidates.max_by_key(|(_, _, size_bytes)| *size_bytes) {
            Some((page, record, _)) => LogError::RecordTooLarge { page, record },
            None => LogError::Mismatch {
                place: self.place.cursors.clone(),
                problem: "the source's cursor is larger than the topic takes; raise its max.message.bytes".to_owned(),
            },
        }
    }

    /// The topic's limit was lowered since the shard was opened, or it is the broker's own that counts.
    fn batch_too_large(&mut self, pages: &[Page], refused: &[Failure], cancel: &Cancel) -> LogError {
        let Cluster {
            clients,
            limits,
            max_message_bytes,
        } = &self.cluster;
        limits.forget(&self.place.topic);
        match limits.max_message_bytes(clients, &self.place.topic, cancel) {
            // librdkafka's limit is fixed for a client's life; the next one refuses the right record by itself.
            Ok(bytes) if bytes < *max_message_bytes => {
                info!(self.log, "the topic takes less than before"; "max_message_bytes" => bytes);
                self.spend();
                self.lost()
            }
            Ok(_) => self.too_large(pages, refused),
            Err(problem) => problem,
        }
    }

    /// Drops the client as it is.
    fn spend(&mut self) {
        if let Some(producer) = self.producer.take() {
            close(&self.log, &self.place.id, producer);
        }
    }
}

impl ShardWriter for KafkaShardWriter {
    fn committed(&self) -> Option<&CursorRecord> {
        self.committed.as_ref()
    }

    fn commit(
        &mut self,
        pages: &[Page],
        after: &CursorRecord,
        own: &Ownership,
        cancel: &Cancel,
    ) -> Result<(), LogError> {
        let cursor = serde_json::to_vec(after).map_err(|problem| LogError::Call {
            operation: OPERATION,
            place: self.place.id.clone(),
            verdict: Verdict::Fail,
            source: Box::new(problem),
        })?;
        let mut backoff = Backoff::default();
        loop {
            let Some(producer) = &self.producer else {
                return Err(self.lost());
            };
            if let Some(reason) = self.stopped(own, cancel) {
                return Err(reason);
            }
            let obstacle = match self.attempt(producer, pages, &cursor, own, cancel) {
                Ok(()) => {
                    self.committed = Some(after.clone());
                    return Ok(());
                }
                Err(Obstacle::Spent(reason)) => {
                    self.spend();
                    return Err(reason);
                }
                Err(obstacle) => obstacle,
            };
            if let Err(reason) = self.abort(producer, own, cancel) {
                self.spend();
                return Err(reason);
            }
            match obstacle {
                Obstacle::Again(cause) => {
                    warn!(self.log, "transaction aborted; the same pages go again"; "cause" => cause);
                    if wait::pause(cancel, backoff.next()) {
                        return Err(self.cancelled());
                    }
                }
                Obstacle::GiveUp(reason) | Obstacle::Spent(reason) => return Err(reason),
                Obstacle::TooLarge(failure) => return Err(self.too_large(pages, &[failure])),
                Obstacle::BatchTooLarge => {
                    let refused = producer.context().side.failures();
                    return Err(self.batch_too_large(pages, &refused, cancel));
                }
            }
        }
    }

    fn max_record_bytes(&self) -> usize {
        self.cluster
            .max_message_bytes
            .saturating_sub(KEY_AND_HEADERS_BYTES)
            .max(1)
    }
}

impl Drop for KafkaShardWriter {
    fn drop(&mut self) {
        self.spend();
    }
}
