//! Opens a shard: fences every earlier writer of it and reads its committed cursor.

use std::sync::Arc;

use rdkafka::producer::Producer;
use slog::debug;

use super::{
    Failpoint,
    class::{Class, TRY, class},
    client::Clients,
    close::close,
    cursor_read,
    delivery::Tally,
    error,
    limits::Limits,
    shard_writer::{Cluster, KafkaShardWriter, Place},
    transaction::ShardProducer,
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
    let producer = producer(clients, &place, max_message_bytes)?;
    let opened = init(&producer, &place, own, cancel).and_then(|()| last_cursor(clients, spec, shard, own, cancel));
    let committed = match opened {
        Ok(committed) => committed,
        Err(problem) => {
            close(clients.log(), &place.id, producer);
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
    Ok(KafkaShardWriter::new(cluster, producer, place, committed, failpoint))
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

fn last_cursor(
    clients: &Clients,
    spec: &TopicSpec,
    shard: &ShardId,
    own: &Ownership,
    cancel: &Cancel,
) -> Result<Option<CursorRecord>, LogError> {
    failpoint::reach("ingest-after-init");
    let observer = Arc::new(clients.observer(&spec.pipeline)?);
    let result = wait::retrying(clients.log(), cancel, "read cursor", &spec.cursors_topic(), || {
        if own.holds() {
            cursor_read::read(&observer, spec, shard, cancel)
        } else {
            Err(LogError::Lost {
                place: spec.cursors_topic(),
            })
        }
    });
    close(clients.log(), &spec.cursors_topic(), observer);
    result
}
