//! How actix runs the transformer.

use std::sync::Arc;

use actix::{Actor, Context, Handler, Recipient, ResponseFuture};

use super::rejects;
use crate::{
    messages::{RawBatch, Refused, RowBatch, Settled, Transform, Write},
    model::{LogRecord, Rejected, Stage},
    sql::{Engine, EngineError, InputRecord, Origin, Program, Transformed},
    supervision::Life,
};

/// What a transformer is given at birth.
#[derive(Clone)]
pub struct TransformerSettings {
    /// The checked SQL.
    pub program: Arc<Program>,
    /// The tables' names, in the program's order.
    pub tables: Arc<[String]>,
}

/// See [`super`].
pub struct Transformer {
    life: Life,
    settings: TransformerSettings,
    engine: Engine,
    writers: Vec<Recipient<Write>>,
}

impl Transformer {
    /// A transformer with plans of its own, and the writers that its batches may go to.
    pub fn new(life: Life, settings: TransformerSettings, writers: Vec<Recipient<Write>>) -> Result<Self, EngineError> {
        let engine = settings.program.engine()?;
        Ok(Self {
            life,
            settings,
            engine,
            writers,
        })
    }

    fn transform(&mut self, batch: RawBatch) -> Result<RowBatch, EngineError> {
        let key = &batch.claim.key;
        let mut rejected = Vec::new();
        let mut to_run = Vec::with_capacity(batch.records.len());
        for (index, record) in batch.records.iter().enumerate() {
            match rejects::ingest_reason(record) {
                None => to_run.push(index),
                Some(reason) => {
                    rejected.push(rejects::rejected(
                        &key.topic,
                        key.partition,
                        record,
                        Stage::Ingest,
                        reason,
                        None,
                    ));
                }
            }
        }
        let rows = run(&mut self.engine, &key.topic, key.partition, &batch.records, &to_run)?;
        for failure in &rows.failures {
            let record = &batch.records[failure.record as usize];
            let table = failure.table.and_then(|table| self.settings.tables.get(table).cloned());
            let (stage, reason) = (rejects::stage(failure), failure.reason.clone());
            rejected.push(rejects::rejected(
                &key.topic,
                key.partition,
                record,
                stage,
                reason,
                table,
            ));
        }
        rejected.sort_by_key(|rejected: &Rejected| rejected.position.offset);
        Ok(RowBatch {
            claim: batch.claim,
            expected_offset: batch.expected_offset,
            next_offset: batch.next_offset,
            records: batch.records,
            rows,
            rejected,
            identity: batch.identity,
        })
    }
}

type BorrowedHeader<'a> = (&'a str, Option<&'a [u8]>);

/// Runs the engine over the records at `to_run`; the outcome's indices are those of `records`.
fn run(
    engine: &mut Engine,
    topic: &str,
    partition: i32,
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
    // The arbiter is this transformer's own, so its thread may be kept busy. `unconstrained`: tokio's budget would make
    // the plan yield to a scheduler that cannot run while we are here.
    let work = tokio::task::unconstrained(engine.run(Origin { topic, partition }, &input));
    let mut rows = futures::executor::block_on(work)?;
    if to_run.len() != records.len() {
        rows.renumber(|index| to_run[index as usize] as u32);
    }
    Ok(rows)
}

impl Actor for Transformer {
    type Context = Context<Self>;
}

impl Handler<Transform> for Transformer {
    type Result = ResponseFuture<Result<Settled, Refused>>;

    fn handle(&mut self, Transform(batch): Transform, _ctx: &mut Self::Context) -> Self::Result {
        let work = self.life.progress().work();
        let route = batch.claim.route;
        match self.transform(batch) {
            Ok(rows) => {
                self.life.progress().mark();
                drop(work);
                // Pushed into the writer's mailbox here and now: batches of a partition keep their order.
                let request = self.writers[route.writer % self.writers.len()].send(Write(rows));
                Box::pin(async move {
                    match request.await {
                        Ok(reply) => reply,
                        // The writer has ended; this transformer and its consumer are restarted after it.
                        Err(_) => std::future::pending().await,
                    }
                })
            }
            Err(error) => {
                self.life.fail(error);
                Box::pin(std::future::pending())
            }
        }
    }
}
