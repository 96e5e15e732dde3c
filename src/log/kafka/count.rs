//! Counts the records between two offsets by reading them: transaction markers take offsets, and aborted records too.

use std::time::Duration;

use rdkafka::{
    Message, Offset, TopicPartitionList, consumer::Consumer, error::KafkaError, types::RDKafkaErrorCode as Code,
};
use tokio::time::Instant;

use super::{
    client::{Clients, Observer},
    close::close,
    error,
    wait::SLICE,
};
use crate::{
    log::{LogError, TopicSpec},
    model::Verdict,
};

const OPERATION: &str = "count records";

/// No progress for this long: the broker is away.
const SILENCE: Duration = Duration::from_secs(10);

/// How many records a `read_committed` reader finds from `from` on and before `to`, which must lie within the log.
pub(super) fn records(
    clients: &Clients,
    spec: &TopicSpec,
    partition: i32,
    from: i64,
    to: i64,
) -> Result<u64, LogError> {
    if from >= to {
        return Ok(0);
    }
    let observer = clients.observer(&spec.pipeline)?;
    let counted = read(&observer, &spec.topic, partition, from, to);
    close(clients.log(), &spec.topic, observer);
    counted
}

fn read(observer: &Observer, topic: &str, partition: i32, from: i64, to: i64) -> Result<u64, LogError> {
    let place = || format!("{topic}[{partition}]");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, partition, Offset::Offset(from))
        .and_then(|()| observer.assign(&list))
        .map_err(|problem| error::call(OPERATION, place(), problem))?;
    let is_passed = || {
        let position = observer
            .position()
            .ok()
            .and_then(|list| list.find_partition(topic, partition)?.offset().to_raw());
        position.is_some_and(|offset| offset >= to)
    };
    let (mut count, mut heard) = (0, Instant::now());
    loop {
        match observer.poll(SLICE) {
            Some(Ok(message)) => {
                heard = Instant::now();
                count += u64::from(message.offset() < to);
                if message.offset() + 1 >= to {
                    return Ok(count);
                }
            }
            // Control records move the position without a message.
            Some(Err(KafkaError::PartitionEOF(_))) | None if is_passed() => return Ok(count),
            Some(Err(KafkaError::PartitionEOF(_))) => {}
            Some(Err(KafkaError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange))) => {
                let moved = "the log has deleted more records meanwhile; ask again";
                return Err(error::reported(OPERATION, place(), Code::Retry, moved));
            }
            Some(Err(problem)) => {
                let failed = error::call(OPERATION, place(), problem);
                if failed.verdict() != Verdict::Retry {
                    return Err(failed);
                }
            }
            None if heard.elapsed() > SILENCE => {
                let fault = observer.context().take_fault(OPERATION, &place());
                let silent = || error::reported(OPERATION, place(), Code::OperationTimedOut, "no answer");
                return Err(fault.unwrap_or_else(silent));
            }
            None => {}
        }
    }
}
