//! The only writer of one shard: records and the cursor after them go into one Kafka transaction.
//!
//! Invariant: `commit` answers `Ok` only when readers can see what it has committed, and answers `Err` only when the transaction is
//! aborted, or when this writer is spent and opening the shard again decides.

use std::{collections::HashSet, sync::Arc};

use rdkafka::{producer::Producer, types::RDKafkaErrorCode as Code};
use slog::{Logger, info, o, warn};

use super::{
    Failpoint,
    client::{Clients, Observer},
    close::close,
    delivery::Failure,
    limits::Limits,
    markers,
    transaction::{OPERATION, Obstacle, ShardProducer, Transaction},
    wait::{self, Backoff},
};
use crate::{
    log::{Cancel, LogError, Ownership, ShardWriter, TopicSpec},
    model::{CursorRecord, Page, ShardId, Verdict},
};

/// Room beside the payload: for a key, a reject envelope's headers, and the record's own numbers.
const KEY_AND_HEADERS_BYTES: usize = 1_024;

/// Where a shard's records and cursors go.
pub(super) struct Place {
    /// The `transactional.id`: `<pipeline>-<shard>`.
    pub(super) id: String,
    pub(super) topic: String,
    pub(super) cursors: String,
    pub(super) shard: ShardId,
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

    pub(super) fn lost(&self) -> LogError {
        LogError::Lost { place: self.id.clone() }
    }

    pub(super) fn cancelled(&self, operation: &'static str) -> LogError {
        LogError::Cancelled {
            operation,
            place: self.id.clone(),
        }
    }
}

/// The cluster that the shard was opened in, and what the topic took then.
pub(super) struct Cluster {
    pub(super) clients: Clients,
    pub(super) spec: TopicSpec,
    pub(super) limits: Limits,
    pub(super) max_message_bytes: usize,
}

/// A shard's two clients.
pub(super) struct ShardClients {
    pub(super) producer: ShardProducer,
    /// Sees what readers see.
    pub(super) observer: Arc<Observer>,
}

/// See [`ShardWriter`].
pub(super) struct KafkaShardWriter {
    log: Logger,
    cluster: Cluster,
    /// `None` once they are spent: fenced, stopped dead, or left with a call under way.
    clients: Option<ShardClients>,
    place: Place,
    committed: Option<CursorRecord>,
    failpoint: Option<Failpoint>,
}

impl KafkaShardWriter {
    pub(super) fn new(
        cluster: Cluster,
        clients: ShardClients,
        place: Place,
        committed: Option<CursorRecord>,
        failpoint: Option<Failpoint>,
    ) -> Self {
        let log = cluster.clients.log().new(o!("transactional_id" => place.id.clone()));
        Self {
            log,
            cluster,
            clients: Some(clients),
            place,
            committed,
            failpoint,
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
            spec,
            limits,
            max_message_bytes,
        } = &self.cluster;
        limits.forget(&self.place.topic);
        match limits.max_message_bytes(clients, spec, cancel) {
            // librdkafka's limit is fixed for a client's life; the next one refuses the right record by itself.
            Ok(bytes) if bytes < *max_message_bytes => {
                info!(self.log, "the topic takes less than before"; "max_message_bytes" => bytes);
                self.spend();
                self.place.lost()
            }
            Ok(_) => self.too_large(pages, refused),
            Err(problem) => problem,
        }
    }

    /// Drops the clients as they are.
    fn spend(&mut self) {
        if let Some(clients) = self.clients.take() {
            close(&self.log, &self.place.id, clients);
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
            let Some(ShardClients { producer, observer }) = &self.clients else {
                return Err(self.place.lost());
            };
            let transaction = Transaction {
                log: &self.log,
                producer,
                place: &self.place,
                failpoint: self.failpoint.as_ref(),
                own,
                cancel,
            };
            if let Some(reason) = transaction.stopped() {
                return Err(reason);
            }
            let num_errors = Producer::context(producer).num_errors();
            let obstacle = match transaction.run(pages, &cursor) {
                Ok(()) => {
                    let confirmed = markers::confirm(&transaction, observer, &cursor, num_errors);
                    match &confirmed {
                        Ok(()) => self.committed = Some(after.clone()),
                        Err(_) => self.spend(),
                    }
                    return confirmed;
                }
                Err(Obstacle::Spent(reason)) => {
                    self.spend();
                    return Err(reason);
                }
                Err(obstacle) => obstacle,
            };
            if let Err(reason) = transaction.abort() {
                self.spend();
                return Err(reason);
            }
            match obstacle {
                Obstacle::Again(cause) => {
                    warn!(self.log, "transaction aborted; the same pages go again"; "cause" => cause);
                    if wait::pause(cancel, backoff.next()) {
                        return Err(self.place.cancelled(OPERATION));
                    }
                }
                Obstacle::GiveUp(reason) | Obstacle::Spent(reason) => return Err(reason),
                Obstacle::TooLarge(failure) => return Err(self.too_large(pages, &[failure])),
                Obstacle::BatchTooLarge => {
                    let refused = Producer::context(producer).side.failures();
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
