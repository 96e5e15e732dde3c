//! Opens a shard: fences every earlier writer of it and reads its committed cursor.

use std::sync::Arc;

use rdkafka::producer::Producer;
use slog::debug;

use super::{
    Failpoint,
    class::{Class, TRY, class},
    client::{Clients, Observer},
    close::close,
    cursor_read,
    delivery::Tally,
    error,
    limits::Limits,
    markers,
    shard_writer::{Cluster, KafkaShardWriter, Place, ShardClients},
    transaction::{ShardProducer, Transaction},
    wait,
};
use crate::{
    failpoint,
    log::{Cancel, LogError, Ownership, TopicSpec},
    model::{CursorRecord, ShardId},
};

const OPERATION: &str = "init transactions";

/// See [`crate::log::Log::open_shard`].
pub(super) fn open(
    clients: &Clients,
    limits: &Limits,
    failpoint: Option<Failpoint>,
    spec: &TopicSpec,
    shard: &ShardId,
    own: &Ownership,
    cancel: &Cancel,
) -> Result<KafkaShardWriter, LogError> {
    let max_message_bytes = limits.max_message_bytes(clients, spec, cancel)?;
    let place = Place::new(spec, shard);
    let observer = Arc::new(clients.observer(&spec.pipeline)?);
    let producer = producer(clients, &place, max_message_bytes)?;
    let transaction = Transaction {
        log: clients.log(),
        producer: &producer,
        place: &place,
        failpoint: None,
        own,
        cancel,
    };
    let opened = init(&producer, &place, own, cancel)
        .and_then(|()| restored(&transaction, clients, spec, &observer))
        .and_then(|()| last_cursor(&transaction, spec, &observer));
    let committed = match opened {
        Ok(committed) => committed,
        Err(problem) => {
            close(clients.log(), &place.id, ShardClients { producer, observer });
            return Err(problem);
        }
    };
    debug!(clients.log(), "shard opened"; "transactional_id" => &place.id, "max_message_bytes" => max_message_bytes,
        "pages" => committed.as_ref().map_or(0, |cursor| cursor.pages));
    let cluster = Cluster {
        spec: spec.clone(),
        clients: clients.clone(),
        limits: limits.clone(),
        max_message_bytes,
    };
    Ok(KafkaShardWriter::new(
        cluster,
        ShardClients { producer, observer },
        place,
        committed,
        failpoint,
    ))
}

fn producer(clients: &Clients, place: &Place, max_message_bytes: usize) -> Result<ShardProducer, LogError> {
    let max_message_bytes = max_message_bytes.to_string();
    let defaults = [
        ("compression.codec", "lz4"),
        // A transaction is sent in one go and waited for: who waits longer for more waits in vain.
        ("linger.ms", "1"),
        // Java's partitioner, so that other producers' records of the same key lie in the same partition.
        ("partitioner", "murmur2_random"),
        // Records without a key: each by itself at random. Sticking to one partition for a while, as is the default,
        // would put a small transaction into one partition.
        ("sticky.partitioning.linger.ms", "0"),
    ];
    let fixed = [
        ("transactional.id", place.id.as_str()),
        ("enable.idempotence", "true"),
        ("message.max.bytes", max_message_bytes.as_str()),
    ];
    clients
        .config(&defaults, &fixed)
        .create_with_context(clients.context(Tally::default()))
        .map_err(|problem| clients.open_error(&problem))
}

/// Fences. Only in answer to an assignment: a restarted zombie would push the rightful owner out.
fn init(producer: &ShardProducer, place: &Place, own: &Ownership, cancel: &Cancel) -> Result<(), LogError> {
    loop {
        if cancel.is_cancelled() {
            return Err(place.cancelled(OPERATION));
        }
        if !own.holds() {
            return Err(place.lost());
        }
        let Err(problem) = producer.init_transactions(TRY) else {
            return Ok(());
        };
        match class(&problem) {
            Class::SameCall => {
                if let Some(fault) = producer.context().take_fault(OPERATION, &place.id) {
                    return Err(fault);
                }
                // Most answers take up the whole try; those that come at once must not spin.
                wait::pause(cancel, TRY / 10);
            }
            Class::Fatal => {
                return Err(place.lost());
            }
            Class::Abort | Class::Broken => return Err(error::call(OPERATION, &place.id, problem)),
        }
    }
}

/// Decides what an earlier writer was told is committed, and is not.
fn restored(
    transaction: &Transaction<'_>,
    clients: &Clients,
    spec: &TopicSpec,
    observer: &Arc<Observer>,
) -> Result<(), LogError> {
    failpoint::reach("ingest-after-init");
    let undecided = clients.undecided_observer(&spec.pipeline)?;
    let result = retrying(transaction, || markers::restore(transaction, observer, &undecided));
    close(transaction.log, &transaction.place.cursors, undecided);
    result
}

fn last_cursor(
    transaction: &Transaction<'_>,
    spec: &TopicSpec,
    observer: &Arc<Observer>,
) -> Result<Option<CursorRecord>, LogError> {
    let shard = &transaction.place.shard;
    retrying(transaction, || {
        cursor_read::read(observer, spec, shard, transaction.cancel)
    })
}

/// Repeats through an outage, for as long as the shard is wanted.
fn retrying<T>(transaction: &Transaction<'_>, mut attempt: impl FnMut() -> Result<T, LogError>) -> Result<T, LogError> {
    let Transaction { log, place, cancel, .. } = transaction;
    wait::retrying(log, cancel, "read cursor", &place.cursors, || {
        match transaction.stopped() {
            Some(reason) => Err(reason),
            None => attempt(),
        }
    })
}
