//! One partition's records through the engine: what becomes rows, and what becomes dead letters.

use super::rejects;
use crate::{
    model::{LogRecord, PartitionKey, Rejected, Stage},
    sql::{Engine, EngineError, InputRecord, Origin, Transformed},
};

/// Runs the engine over a partition's records, but for those that were refused before the log. The outcome's indices are
/// those of `records`, the rejected ones are in offset order; `tables` are their names, in the program's order. Blocks.
pub fn transform(
    engine: &mut Engine,
    key: &PartitionKey,
    records: &[LogRecord],
    tables: &[String],
) -> Result<(Transformed, Vec<Rejected>), EngineError> {
    let mut rejected = Vec::new();
    let mut to_run = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        match rejects::ingest_reason(record) {
            None => to_run.push(index),
            Some(reason) => rejected.push(rejects::rejected(key, record, Stage::Ingest, reason, None)),
        }
    }
    let rows = run(engine, key, records, &to_run)?;
    for failure in &rows.failures {
        let record = &records[failure.record as usize];
        let table = failure.table.and_then(|table| tables.get(table).cloned());
        let (stage, reason) = (rejects::stage(failure), failure.reason.clone());
        rejected.push(rejects::rejected(key, record, stage, reason, table));
    }
    rejected.sort_by_key(|rejected| rejected.position.offset);
    Ok((rows, rejected))
}

type BorrowedHeader<'a> = (&'a str, Option<&'a [u8]>);

/// Runs the engine over the records at `to_run`; the outcome's indices are those of `records`.
fn run(
    engine: &mut Engine,
    key: &PartitionKey,
    records: &[LogRecord],
    to_run: &[usize],
) -> Result<Transformed, EngineError> {
    let headers: Vec<Vec<BorrowedHeader<'_>>> = to_run
        .iter()
        .map(|index| {
            let headers = records[*index].headers.iter();
            headers
                .map(|header| (header.name.as_str(), header.value.as_deref()))
                .collect()
        })
        .collect();
    let input: Vec<InputRecord<'_>> = to_run
        .iter()
        .zip(&headers)
        .map(|(index, headers)| {
            let record = &records[*index];
            InputRecord {
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                offset: record.offset,
                timestamp_ms: record.timestamp_ms,
                headers,
            }
        })
        .collect();
    let origin = Origin {
        topic: &key.topic,
        partition: key.partition,
    };
    // The thread is the caller's own (a transformer's arbiter, a command's), so it may be kept busy. `unconstrained`:
    // tokio's budget would make the plan yield to a scheduler that cannot run while we are here.
    let work = tokio::task::unconstrained(engine.run(origin, &input));
    let mut rows = futures::executor::block_on(work)?;
    if to_run.len() != records.len() {
        rows.renumber(|index| to_run[index as usize] as u32);
    }
    Ok(rows)
}
