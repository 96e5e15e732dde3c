//! Whose fault a failed execution is: a record's, the query's, or the memory's.
//!
//! The batch is halved until each failing record stands alone; these are rejected, the others keep their rows. The query
//! is at fault, and the pipeline must stop instead, if it fails where no record can be to blame:
//!
//! * on no record at all; or
//! * on every record of the batch *and* on the smallest record that the schema admits (NULL wherever NULL may be),
//!   as long as no record has passed in this engine's life.
//!
//! So one bad record is rejected even if it comes alone in its batch, and a query that only good data could satisfy is
//! told by its dead letters, which `dead_letters.max` brakes. When memory is short, the batch is halved the same way, and
//! a record that is too large by itself is rejected.

use arrow::{
    array::{BooleanArray, RecordBatch, UInt32Array},
    compute::{concat_batches, filter_record_batch},
    error::ArrowError,
};
use datafusion::error::DataFusionError;

use super::{Engine, Rows};
use crate::{EngineError, FailedAt, Failure, InputRecord, Origin, decode::bad::shown, plan};

/// The records that failed so far; each has its first reason.
pub(super) struct Failures {
    failed: Vec<bool>,
    list: Vec<Failure>,
}

impl Failures {
    pub(super) fn new(records: usize, undecodable: Vec<Failure>) -> Self {
        let mut failures = Self {
            failed: vec![false; records],
            list: Vec::new(),
        };
        undecodable.into_iter().for_each(|failure| failures.add(failure));
        failures
    }

    pub(super) fn add(&mut self, failure: Failure) {
        let failed = &mut self.failed[failure.record as usize];
        if !std::mem::replace(failed, true) {
            self.list.push(failure);
        }
    }

    /// The rows whose record did not fail anywhere.
    pub(super) fn without(&self, rows: Rows) -> Result<Rows, ArrowError> {
        if self.list.is_empty() {
            return Ok(rows);
        }
        let keep: BooleanArray = records_of(&rows)
            .values()
            .iter()
            .map(|&record| Some(!self.failed[record as usize]))
            .collect();
        filter_record_batch(&rows, &keep)
    }

    pub(super) fn into_sorted(mut self) -> Vec<Failure> {
        self.list.sort_by_key(|failure| failure.record);
        self.list
    }
}

/// The record index, which is the last column of every table's rows.
pub(super) fn records_of(rows: &Rows) -> &UInt32Array {
    use arrow::array::AsArray;
    rows.column(rows.num_columns() - 1).as_primitive()
}

impl Engine {
    /// One table's rows; the records that its query fails on go to `failures`.
    pub(super) async fn table(
        &mut self,
        index: usize,
        input: &[RecordBatch],
        origin: Origin<'_>,
        failures: &mut Failures,
    ) -> Result<Rows, EngineError> {
        self.tables[index]
            .begin()
            .await
            .map_err(|error| self.query_error(index, &error))?;
        let table = &self.tables[index];
        match table.rows(input.to_vec()).await {
            Ok(rows) => {
                self.tables[index].proven |= input.iter().any(|batch| batch.num_rows() > 0);
                return Ok(rows);
            }
            Err(first) => self.expect_empty_batch(index, &first).await?,
        }
        let total = input.iter().map(RecordBatch::num_rows).sum();
        let mut passed = Vec::new();
        let mut rejected = Vec::new();
        let mut pending = vec![(0, total)];
        while let Some((start, count)) = pending.pop() {
            let part = slice(input, start, count);
            // The whole is known to fail.
            let result = if count == total && total > 1 {
                None
            } else {
                Some(self.tables[index].rows(part.clone()).await)
            };
            match result {
                Some(Ok(rows)) => passed.push(rows),
                Some(Err(error)) if count <= 1 => {
                    rejected.extend(
                        part.iter()
                            .flat_map(|batch| records_of(batch).values().to_vec())
                            .map(|record| Failure {
                                record,
                                at: FailedAt::Transform,
                                table: Some(index),
                                reason: self.reason(&error),
                            }),
                    );
                }
                _ => {
                    let half = count / 2;
                    pending.push((start + half, count - half));
                    pending.push((start, half));
                }
            }
        }
        if passed.is_empty() && !self.tables[index].proven {
            self.expect_smallest_record(index, origin).await?;
        }
        self.tables[index].proven |= !passed.is_empty();
        rejected.into_iter().for_each(|failure| failures.add(failure));
        if passed.is_empty() {
            passed.push(
                self.tables[index]
                    .rows(Vec::new())
                    .await
                    .map_err(|error| self.query_error(index, &error))?,
            );
        }
        let schema = passed[0].schema();
        concat_batches(&schema, &passed).map_err(|error| self.query_error(index, &error.into()))
    }

    /// A query that fails on nothing at all is itself at fault.
    async fn expect_empty_batch(&self, index: usize, first: &DataFusionError) -> Result<(), EngineError> {
        match self.tables[index].rows(Vec::new()).await {
            Ok(_) => Ok(()),
            Err(error) if is_memory(&error) && is_memory(first) => Err(EngineError::Memory {
                limit_bytes: self.program.memory_limit_bytes,
            }),
            Err(error) => Err(self.query_error(index, &error)),
        }
    }

    async fn expect_smallest_record(&mut self, index: usize, origin: Origin<'_>) -> Result<(), EngineError> {
        let value = self.program.layout.smallest_record();
        let record = InputRecord {
            key: None,
            value: Some(&value),
            offset: 0,
            timestamp_ms: None,
            headers: &[],
        };
        let mut undecodable = Vec::new();
        let probe = self
            .decoder
            .decode(origin, &[record], &mut undecodable)
            .unwrap_or_default();
        if probe.is_empty() {
            return Ok(());
        }
        match self.tables[index].rows(probe).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.query_error(index, &error)),
        }
    }

    fn query_error(&self, index: usize, error: &DataFusionError) -> EngineError {
        EngineError::Query {
            table: self.program.tables[index].name.clone(),
            reason: plan::problem_of(error).message,
        }
    }

    /// DataFusion's messages quote the value that failed, of any length.
    fn reason(&self, error: &DataFusionError) -> String {
        if is_memory(error) {
            return format!(
                "needs more than the {} bytes of memory by itself",
                self.program.memory_limit_bytes
            );
        }
        shorten(&plan::problem_of(error).message)
    }
}

fn is_memory(error: &DataFusionError) -> bool {
    matches!(error.find_root(), DataFusionError::ResourcesExhausted(_))
}

/// Keeps the sentence but cuts each quoted value that is longer than 64 characters.
fn shorten(message: &str) -> String {
    let cut: Vec<String> = message
        .split('\'')
        .map(|part| {
            if part.len() > 128 {
                shown(part.as_bytes())
            } else {
                part.into()
            }
        })
        .collect();
    let message = cut.join("'");
    match message.char_indices().nth(500) {
        Some((at, _)) => format!("{}…", &message[..at]),
        None => message,
    }
}

/// `count` rows from `start` on, over the borders of the batches.
fn slice(batches: &[RecordBatch], start: usize, count: usize) -> Vec<RecordBatch> {
    let mut parts = Vec::new();
    let (mut skip, mut left) = (start, count);
    for batch in batches {
        if skip >= batch.num_rows() {
            skip -= batch.num_rows();
            continue;
        }
        let take = left.min(batch.num_rows() - skip);
        if take == 0 {
            break;
        }
        parts.push(batch.slice(skip, take));
        skip = 0;
        left -= take;
    }
    parts
}
